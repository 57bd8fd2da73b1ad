-- One turn of a combination of limits: requests that have ended are settled, then others are decided, each all or
-- nothing: looked at in every limit, taken from all or from none.
--
-- KEYS: state, members, then the window and/or slots key of each subject, in the order of its limits; with budgets then
--       the set of slices that the process has touched, and the slice of each budget
-- ARGV: generation, gateways, lease ms, prefix of marks, subjects, then for each subject requests, tokens, concurrency
--       (-1: unlimited); number of ended requests, then for each lease, tick of its reservation, tokens used minus
--       tokens reserved; number of requests that ask, then for each lease, tokens to reserve;
--       with budgets (then but one asks) the amount of each, the process, and what to reserve of each
-- Returns {1, now, absent, decision...}: each
--           {1, used..., rest...} after taking, one `used` for each limit in order, one `rest` for each slice;
--           {0, number of the binding limit, ms until it has room (-1: never), used...} having taken nothing;
--           {-4, used..., rest...} when limits have room and a slice has not, having taken nothing;
--           {-5} when a slice's period is over;
--         {-1, now} for another generation, in which nothing was done;
--         {-2, now, ms} while this generation is not open yet: what has ended is settled
local state = redis.call('HMGET', KEYS[1], 'generation', 'open', 'slots')
if state[1] ~= ARGV[1] then return {-1, now} end
local gateways, lease_ms = tonumber(ARGV[2]), tonumber(ARGV[3])

local subjects, next_key, argument = {}, 3, 6
for i = 1, tonumber(ARGV[5]) do
  local rpm, tpm, most = tonumber(ARGV[argument]), tonumber(ARGV[argument + 1]), tonumber(ARGV[argument + 2])
  local subject = {rpm = rpm, tpm = tpm, most = most}
  if rpm >= 0 or tpm >= 0 then
    subject.window_key = KEYS[next_key]
    next_key = next_key + 1
  end
  if most >= 0 then
    subject.place, subject.taken = KEYS[next_key], {}
    next_key = next_key + 1
  end
  subjects[i], argument = subject, argument + 3
end

local function window_of(subject)
  if not subject.window then subject.window = open(subject.window_key) end
  return subject.window
end

-- The slots of a request go once, so they show a repetition. A lease that has lapsed looks like one: its refund is lost,
-- which errs on the safe side; a surcharge must not be, and so it has a mark of its own.
local function settle(ended)
  local leases, gone, slots = {}, {}, false
  for i = 1, ended do leases[i] = ARGV[argument + 3 * i - 3] end
  for _, subject in ipairs(subjects) do
    if subject.place then
      slots = true
      if ended == 1 then
        gone[1] = redis.call('ZREM', subject.place, leases[1]) == 0 or gone[1]
      else
        for i, score in ipairs(redis.call('ZMSCORE', subject.place, unpack(leases))) do
          if not score then gone[i] = true end
        end
        redis.call('ZREM', subject.place, unpack(leases))
      end
    end
  end
  local met = {}
  for i, lease in ipairs(leases) do
    gone[i], met[lease] = gone[i] or met[lease], true
    local reserved_at, change = tonumber(ARGV[argument + 3 * i - 2]), tonumber(ARGV[argument + 3 * i - 1])
    local once = not gone[i]
    if change > 0 or (change < 0 and not slots) then
      once = redis.call('SET', ARGV[4] .. lease, 1, 'NX', 'PX', 2 * WINDOW_MS)
    end
    if once and change ~= 0 then
      for _, subject in ipairs(subjects) do
        if subject.tpm >= 0 then correct(window_of(subject), reserved_at, change) end
      end
    end
  end
end

local ended = tonumber(ARGV[argument])
argument = argument + 1
if ended > 0 then settle(ended) end
argument = argument + 3 * ended

local asking = tonumber(ARGV[argument])
argument = argument + 1
local first = argument
argument = argument + 2 * asking
local absent, opens_in = 0, 0
if asking > 0 then
  absent = math.max(0, gateways - redis.call('ZCOUNT', KEYS[2], '(' .. now, '+inf'))
  for _, subject in ipairs(subjects) do
    if subject.window_key then opens_in = math.max(opens_in, tonumber(state[2]) - now) end
    if subject.place then opens_in = math.max(opens_in, tonumber(state[3]) - now) end
  end
end

-- What is left of a limit when the absent gateways may be giving out their shares of it.
local function held_back(limit)
  if absent == 0 then return limit end
  return limit - absent * math.floor(limit / gateways) - math.min(absent, limit % gateways)
end

-- Milliseconds until `need` will have left the window; buckets leave oldest first.
local function wait_for(window, letter, need)
  save(window)
  local names = {}
  for bucket = tick - RING + 1, tick do names[#names + 1] = letter .. bucket % RING end
  for i, count in ipairs(redis.call('HMGET', window.key, unpack(names))) do
    need = need - tonumber(count or 0)
    if need <= 0 then return (tick - RING + i) * BUCKET_MS + WINDOW_MS - now end
  end
  return -1
end

-- Lapsed leases are looked for only when there is no room: then it is worth it, once.
local function running(subject)
  if not subject.running then subject.running = redis.call('ZCARD', subject.place) end
  if subject.running >= held_back(subject.most) and not subject.swept then
    redis.call('ZREMRANGEBYSCORE', subject.place, '-inf', now)
    subject.running, subject.swept = redis.call('ZCARD', subject.place) + #subject.taken / 2, true
  end
  return subject.running
end

-- What is used of each limit, the number of the one that binds (0: none) and how long.
local function look(tokens)
  local used, binding, longest = {}, 0, 0
  local function refuse(wait)
    if binding == 0 or wait < 0 or (longest >= 0 and wait > longest) then binding, longest = #used, wait end
  end
  for _, subject in ipairs(subjects) do
    local window = subject.window_key and window_of(subject)
    if subject.rpm >= 0 then
      used[#used + 1] = window[1]
      local room = held_back(subject.rpm) - window[1]
      if room < 1 then refuse(wait_for(window, 'r', 1 - room)) end
    end
    if subject.tpm >= 0 then
      used[#used + 1] = window[2]
      local room = held_back(subject.tpm) - window[2]
      if room < tokens then refuse(tokens > subject.tpm and -1 or wait_for(window, 't', tokens - room)) end
    end
    if subject.place then
      used[#used + 1] = running(subject)
      if subject.running >= held_back(subject.most) then refuse(BUCKET_MS) end
    end
  end
  return used, binding, longest
end

local function take(lease, tokens)
  local used = {}
  for _, subject in ipairs(subjects) do
    local window = subject.window
    if window then
      add(window, subject.rpm >= 0 and 1 or 0, subject.tpm >= 0 and tokens or 0)
      if subject.rpm >= 0 then used[#used + 1] = window[1] end
      if subject.tpm >= 0 then used[#used + 1] = window[2] end
    end
    if subject.place then
      local taken = subject.taken
      taken[#taken + 1], taken[#taken + 2] = now + lease_ms, lease
      subject.running = subject.running + 1
      used[#used + 1] = subject.running
    end
  end
  return used
end

-- A slice holds what was granted; what is taken by others counts too, in case the budget itself was made smaller.
-- Returns the slices with their rests, or nil when a period is over; and whether one has too little.
local budgets = #KEYS - next_key -- -1: none
local process = budgets > 0 and ARGV[argument + budgets]
local function look_at_slices()
  local slices, short = {}, false
  for i = 1, budgets do
    local key, need = KEYS[next_key + i], tonumber(ARGV[argument + budgets + i])
    local seen = redis.call('HMGET', key, 'granted', 'used', 'others', 'until', 'r:' .. process)
    if seen[4] and now >= tonumber(seen[4]) then return nil, false end
    local taken, amount = tonumber(seen[2] or 0), tonumber(ARGV[argument + i - 1])
    local rest = math.min(tonumber(seen[1] or 0), amount - tonumber(seen[3] or 0)) - taken
    if rest < need then short = true end
    slices[i] = {key, rest, need, taken, tonumber(seen[5] or 0), not seen[5]}
  end
  return slices, short
end

local function take_from(slices, used)
  for _, slice in ipairs(slices) do
    local key, rest, need, taken, reserved, new = unpack(slice)
    redis.call('HSET', key, 'used', taken + need, 'r:' .. process, reserved + need)
    used[#used + 1] = rest - need
    if new then -- whoever sweeps up after this process finds it there
      redis.call('SADD', KEYS[next_key], key)
      redis.call('PEXPIRE', KEYS[next_key], TOUCHED_MS)
    end
  end
end

local function decide(lease, tokens)
  local used, binding, longest = look(tokens)
  if binding > 0 then return {0, binding, longest, unpack(used)} end
  local slices, short = {}, false
  if budgets > 0 then
    slices, short = look_at_slices()
    if not slices then return {-5} end
  end
  if short then
    for _, slice in ipairs(slices) do used[#used + 1] = slice[2] end
    return {-4, unpack(used)}
  end
  used = take(lease, tokens)
  take_from(slices, used)
  return {1, unpack(used)}
end

local answer = {1, now, absent}
if opens_in > 0 then
  answer = {-2, now, opens_in}
else
  for i = 1, asking do answer[3 + i] = decide(ARGV[first + 2 * i - 2], tonumber(ARGV[first + 2 * i - 1])) end
end

for _, subject in ipairs(subjects) do
  if subject.window then save(subject.window) end
  if subject.taken and #subject.taken > 0 then
    redis.call('ZADD', subject.place, unpack(subject.taken))
    redis.call('PEXPIRE', subject.place, lease_ms + BUCKET_MS) -- outlives the youngest lease
  end
end
return answer
