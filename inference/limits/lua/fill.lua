-- The ledger has granted something: what it says in all, so that hearing it twice, late or not at all does no harm.
--
-- KEYS: state, then the slices
-- ARGV: generation, then for each slice granted, others, until, version of the ledger's word
-- Returns 1; -1 for another generation
if redis.call('HGET', KEYS[1], 'generation') ~= ARGV[1] then return -1 end
for i = 2, #KEYS do
  local at = 4 * (i - 2) + 2
  local granted, others, ends, version = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local seen = redis.call('HMGET', KEYS[i], 'version', 'used')
  if not seen[1] or tonumber(seen[1]) < tonumber(version) then
    redis.call('HSET', KEYS[i], 'granted', granted, 'others', others, 'until', ends, 'version', version,
      'used', seen[2] or 0)
    if not seen[1] then redis.call('PEXPIREAT', KEYS[i], tonumber(ends) + KEPT_MS) end
  end
end
return 1
