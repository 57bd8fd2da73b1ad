-- A gateway stops in order. Its place counts as present for a while, so that a rolling restart holds nothing back, and
-- when all have left so, the counters are known to be whole.
--
-- KEYS: state, members   ARGV: generation, member, ms for which its place is kept
if redis.call('HGET', KEYS[1], 'generation') ~= ARGV[1] then return -1 end
redis.call('ZREM', KEYS[2], ARGV[2])
redis.call('ZADD', KEYS[2], now + ARGV[3], 'left:' .. ARGV[2])
return 1
