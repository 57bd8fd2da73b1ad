-- A process is dead: what its requests had reserved is free again. What it spent stays, and the ledger has to hear of it.
--
-- KEYS: state, processes, then slices that it has touched   ARGV: generation, the dead process
-- Returns what it spent from each slice (-1: the slice is gone); {} when it is alive after all; -1 for another generation
if redis.call('HGET', KEYS[1], 'generation') ~= ARGV[1] then return -1 end
local until_when = redis.call('ZSCORE', KEYS[2], ARGV[2])
if until_when and tonumber(until_when) > now then return {} end
local mine, spent = 'r:' .. ARGV[2], {}
for i = 3, #KEYS do
  local seen = redis.call('HMGET', KEYS[i], 'used', mine, 's:' .. ARGV[2])
  if seen[2] then
    redis.call('HSET', KEYS[i], 'used', tonumber(seen[1]) - tonumber(seen[2]))
    redis.call('HDEL', KEYS[i], mine)
  end
  spent[#spent + 1] = seen[1] and tonumber(seen[3] or 0) or -1
end
return spent
