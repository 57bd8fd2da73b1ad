-- What every script begins with. Python puts this file before each of them, so that arithmetic stands once.
--
-- The clock is the server's, in ms. Tests replace the one line below by an argument, because TIME cannot be set.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local RING = 61 -- buckets counted: 60 whole seconds, and the partly expired one whole as well
local BUCKET_MS = 1000
local WINDOW_MS = RING * BUCKET_MS
local KEPT_MS = 3600000 -- of a generation's members, once nobody is left to keep them
local TOUCHED_MS = 40 * 86400000 -- of what a process took part in, longer than any budget's period
local tick = math.floor(now / BUCKET_MS)

-- The sums and current bucket of a subject, {requests, tokens, requests now, tokens now, head}. Buckets that have left the
-- window since the last visit are taken out of the sums, so a visit costs what expired, not the length of the window.
local function roll(key)
  local at = tick % RING
  local seen = redis.call('HMGET', key, 'head', 'requests', 'tokens', 'r' .. at, 't' .. at)
  local head = tonumber(seen[1])
  if not head then return {0, 0, 0, 0, tick} end
  local requests, tokens = tonumber(seen[2]), tonumber(seen[3])
  if head >= tick then -- a clock that stepped back only keeps buckets longer
    return {requests, tokens, tonumber(seen[4] or 0), tonumber(seen[5] or 0), head}
  end
  local old = {}
  for bucket = math.max(head + 1, tick - RING + 1), tick do
    old[#old + 1] = 'r' .. bucket % RING
    old[#old + 1] = 't' .. bucket % RING
  end
  local counts = redis.call('HMGET', key, unpack(old))
  for i = 1, #counts, 2 do
    requests = requests - tonumber(counts[i] or 0)
    tokens = tokens - tonumber(counts[i + 1] or 0)
  end
  redis.call('HDEL', key, unpack(old))
  redis.call('HSET', key, 'head', tick, 'requests', requests, 'tokens', tokens)
  return {requests, tokens, 0, 0, tick}
end

-- The same, to be changed in memory by `add` and `correct`, and written once by `save`.
local function open(key)
  local window = roll(key)
  window.key, window.fresh = key, window[3] == 0 and window[4] == 0
  return window
end

-- Adds to the bucket of this second.
local function add(window, requests, tokens)
  window[1], window[3] = window[1] + requests, window[3] + requests
  window[2], window[4] = window[2] + tokens, window[4] + tokens
  window.changed = true
end

-- What a request used beyond its reservation counts from now: nobody could know before. What it did not use goes back to
-- the bucket it came from, if that still counts; never more than is in it.
local function correct(window, reserved_at, change)
  if change > 0 then return add(window, 0, change) end
  if window[5] - reserved_at >= RING then return end
  local at = reserved_at % RING
  if at == tick % RING then return add(window, 0, -math.min(-change, window[4])) end
  local count = tonumber(redis.call('HGET', window.key, 't' .. at) or 0)
  local back = math.min(-change, count)
  if back == 0 then return end
  redis.call('HSET', window.key, 't' .. at, count - back)
  window[2], window.changed = window[2] - back, true
end

-- The key outlives its last bucket by a second and then goes by itself.
local function save(window)
  if not window.changed then return end
  local at = tick % RING
  redis.call('HSET', window.key, 'head', window[5], 'requests', window[1], 'tokens', window[2],
    'r' .. at, window[3], 't' .. at, window[4])
  if window.fresh then redis.call('PEXPIRE', window.key, WINDOW_MS + BUCKET_MS) end
  window.changed, window.fresh = false, false
end
