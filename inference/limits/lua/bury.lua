-- The ledger has heard all of a process's words: it is forgotten here, unless it came back to life.
--
-- KEYS: state, processes, its set of touched slices   ARGV: generation, process, 1 when it says so itself
-- Returns 1; 0 when it is alive; -1 for another generation
if redis.call('HGET', KEYS[1], 'generation') ~= ARGV[1] then return -1 end
local until_when = redis.call('ZSCORE', KEYS[2], ARGV[2])
if until_when and tonumber(until_when) > now and ARGV[3] ~= '1' then return 0 end
redis.call('ZREM', KEYS[2], ARGV[2])
redis.call('DEL', KEYS[3])
return 1
