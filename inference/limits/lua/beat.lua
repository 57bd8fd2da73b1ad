-- A gateway is still there, and so are its long requests.
--
-- KEYS: state, members, then one slots key for each lease to renew
-- ARGV: generation, member, the sender's idea of now, ms for which it is trusted, lease ms, then the leases
-- Returns {1, now}; {-1, now} for another generation; {-3, now} when it was so long on its way that it means nothing
if redis.call('HGET', KEYS[1], 'generation') ~= ARGV[1] then return {-1, now} end
local sent, trust, lease_ms = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
if now - sent >= trust then return {-3, now} end
redis.call('ZADD', KEYS[2], math.min(now, sent) + trust, ARGV[2])
redis.call('PEXPIRE', KEYS[2], KEPT_MS)
for i = 3, #KEYS do
  redis.call('ZADD', KEYS[i], now + lease_ms, ARGV[i + 3])
  redis.call('PEXPIRE', KEYS[i], lease_ms + BUCKET_MS)
end
return {1, now}
