-- A process says what it has reserved and spent in all, because it cannot know which of its words were heard: the
-- connection broke, or it was taken for dead and swept up.
--
-- KEYS: state, processes, the process's set of touched slices, then the slices
-- ARGV: generation, process, lease ms, then for each slice reserved, spent
-- Returns 1; -1 for another generation
if redis.call('HGET', KEYS[1], 'generation') ~= ARGV[1] then return -1 end
local mine, spent_by_me = 'r:' .. ARGV[2], 's:' .. ARGV[2]
redis.call('ZADD', KEYS[2], now + ARGV[3], ARGV[2])
for i = 4, #KEYS do
  local reserved, spent = tonumber(ARGV[2 * i - 4]), tonumber(ARGV[2 * i - 3])
  local seen = redis.call('HMGET', KEYS[i], 'used', mine, spent_by_me)
  if seen[1] then
    local before = tonumber(seen[2] or 0) + tonumber(seen[3] or 0)
    redis.call('HSET', KEYS[i], 'used', tonumber(seen[1]) - before + reserved + spent, mine, reserved, spent_by_me, spent)
    redis.call('SADD', KEYS[3], KEYS[i])
  end
end
redis.call('PEXPIRE', KEYS[3], TOUCHED_MS)
return 1
