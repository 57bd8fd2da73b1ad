-- The end of a request, for its budgets: what it reserved becomes what it spent.
--
-- `used` always is the sum of all `r:` and `s:` there are, whatever happens to one of them in between.
--
-- KEYS: state, then the slices   ARGV: generation, process, then for each slice reserved, spent
-- Returns 1; -1 for another generation
if redis.call('HGET', KEYS[1], 'generation') ~= ARGV[1] then return -1 end
local mine, spent_by_me = 'r:' .. ARGV[2], 's:' .. ARGV[2]
for i = 2, #KEYS do
  local reserved, spent = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local seen = redis.call('HMGET', KEYS[i], 'used', mine, spent_by_me)
  if seen[1] then -- else its period is long over
    local held = tonumber(seen[2] or 0)
    local back = math.min(held, reserved)
    redis.call('HSET', KEYS[i], 'used', tonumber(seen[1]) - back + spent, mine, held - back,
      spent_by_me, tonumber(seen[3] or 0) + spent)
  end
end
return 1
