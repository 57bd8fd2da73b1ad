-- The end of a request: its slots are free, and its reservation becomes what was truly used. Once: a repetition is void.
--
-- KEYS: settled, then the keys that the request took from, windows before slots; the generation stands in their names,
--       so a settlement that belongs to a lost one finds nothing
-- ARGV: lease, tick of the reservation, tokens used minus tokens reserved, then for each key but the first w or s
-- Returns 1 when done, 0 when it had been done
local reserved_at, change = tonumber(ARGV[2]), tonumber(ARGV[3])

-- The slots of a request go once, so they show a repetition. A lease that has lapsed looks like one: its refund is lost,
-- which errs on the safe side; a surcharge must not be, and so it has a mark of its own.
local seen = false
for i = 2, #KEYS do
  if ARGV[i + 2] == 's' and redis.call('ZREM', KEYS[i], ARGV[1]) == 0 then seen = true end
end
if seen and change <= 0 then return 0 end
if change > 0 or (change < 0 and ARGV[#ARGV] ~= 's') then
  if not redis.call('SET', KEYS[1], 1, 'NX', 'PX', 2 * WINDOW_MS) then return 0 end
end

-- A refund goes back to the bucket it came from, if that still counts; never more than is in it.
local function refund(key, tokens)
  local at = 't' .. reserved_at % RING
  local seen = redis.call('HMGET', key, 'head', 'tokens', at)
  local head = tonumber(seen[1])
  if not head or head - reserved_at >= RING then return end
  tokens = math.min(tokens, tonumber(seen[3] or 0))
  redis.call('HSET', key, 'tokens', tonumber(seen[2]) - tokens, at, tonumber(seen[3] or 0) - tokens)
end

if change ~= 0 then
  for i = 2, #KEYS do
    if ARGV[i + 2] == 's' then break end -- slots stand last
    if change < 0 then
      refund(KEYS[i], -change)
    else -- nobody could know before, so it counts from now
      add(KEYS[i], roll(KEYS[i]), 0, change)
    end
  end
end
return 1
