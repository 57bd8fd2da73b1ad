-- A process that reserves from slices is still there; and who is not.
--
-- KEYS: state, processes   ARGV: generation, process, lease ms
-- Returns {1, now, lapsed process...}; {0, now} when it has lapsed itself, so that others may have swept up after it;
--         {-1, now} for another generation
if redis.call('HGET', KEYS[1], 'generation') ~= ARGV[1] then return {-1, now} end
local until_when = redis.call('ZSCORE', KEYS[2], ARGV[2])
if not until_when or tonumber(until_when) <= now then return {0, now} end
redis.call('ZADD', KEYS[2], now + ARGV[3], ARGV[2])
redis.call('PEXPIRE', KEYS[2], TOUCHED_MS)
return {1, now, unpack(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now))}
