-- One atomic, all-or-nothing decision over every limit of a request. Looks at all, then takes from all or from none.
--
-- KEYS: state, members, then the window and/or slots key of each subject, in the order of its limits; with budgets then
--       the set of slices that the process has touched, and the slice of each budget
-- ARGV: generation, gateways, lease ms, subjects, then for each subject requests, tokens, concurrency (-1: unlimited);
--       with budgets then the amount of each, the process, and what to reserve of each;
--       then the lease and the tokens to reserve
-- Returns {1, now, absent, used..., rest...} after taking, one `used` for each limit in order, one `rest` for each slice;
--         {0, now, absent, number of the binding limit, ms until it has room (-1: never), used...} having taken nothing;
--         {-1, now} for another generation; {-2, now, ms} while this generation is not open yet;
--         {-4, now, absent, used..., rest...} when limits have room and a slice has not, having taken nothing;
--         {-5, now} when a slice's period is over
local state = redis.call('HMGET', KEYS[1], 'generation', 'open', 'slots')
if state[1] ~= ARGV[1] then return {-1, now} end
local gateways, lease_ms, subjects = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local lease, tokens = ARGV[#ARGV - 1], tonumber(ARGV[#ARGV])
local absent = math.max(0, gateways - redis.call('ZCOUNT', KEYS[2], '(' .. now, '+inf'))

-- What is left of a limit when the absent gateways may be giving out their shares of it.
local function held_back(limit)
  if absent == 0 then return limit end
  return limit - absent * math.floor(limit / gateways) - math.min(absent, limit % gateways)
end

-- Milliseconds until `need` will have left the window; buckets leave oldest first.
local function wait_for(key, letter, need)
  local names = {}
  for bucket = tick - RING + 1, tick do names[#names + 1] = letter .. bucket % RING end
  for i, count in ipairs(redis.call('HMGET', key, unpack(names))) do
    need = need - tonumber(count or 0)
    if need <= 0 then return (tick - RING + i) * BUCKET_MS + WINDOW_MS - now end
  end
  return -1
end

local used, takes = {}, {}
local binding, longest = 0, 0
local function refuse(wait)
  if binding == 0 or wait < 0 or (longest >= 0 and wait > longest) then binding, longest = #used, wait end
end

local next_key, argument = 3, 5
for _ = 1, subjects do
  local rpm, tpm, slots = tonumber(ARGV[argument]), tonumber(ARGV[argument + 1]), tonumber(ARGV[argument + 2])
  argument = argument + 3
  if rpm >= 0 or tpm >= 0 then
    if now < tonumber(state[2]) then return {-2, now, tonumber(state[2]) - now} end
    local key = KEYS[next_key]
    next_key = next_key + 1
    local window = roll(key)
    if rpm >= 0 then
      used[#used + 1] = window[1]
      local room = held_back(rpm) - window[1]
      if room < 1 then refuse(wait_for(key, 'r', 1 - room)) end
    end
    if tpm >= 0 then
      used[#used + 1] = window[2]
      local room = held_back(tpm) - window[2]
      if room < tokens then refuse(tokens > tpm and -1 or wait_for(key, 't', tokens - room)) end
    end
    takes[#takes + 1] = {key, window, rpm >= 0 and 1 or 0, tpm >= 0 and tokens or 0, rpm >= 0, tpm >= 0, #used}
  end
  if slots >= 0 then
    if now < tonumber(state[3]) then return {-2, now, tonumber(state[3]) - now} end
    local key = KEYS[next_key]
    next_key = next_key + 1
    local most = held_back(slots)
    local running = redis.call('ZCARD', key)
    if running >= most then -- only now is it worth looking for lapsed ones
      redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
      running = redis.call('ZCARD', key)
    end
    used[#used + 1] = running
    if running >= most then refuse(BUCKET_MS) end
    takes[#takes + 1] = {key, nil, nil, nil, running == 0 or rpm + tpm < -1, nil, #used}
  end
end

if binding > 0 then return {0, now, absent, binding, longest, unpack(used)} end

-- A slice holds what was granted; what is taken by others counts too, in case the budget itself was made smaller.
local budgets = #KEYS - next_key -- -1: none
local process = budgets > 0 and ARGV[argument + budgets]
local slices, short, limits = {}, false, #used
for i = 1, budgets do
  local key, need = KEYS[next_key + i], tonumber(ARGV[argument + budgets + i])
  local seen = redis.call('HMGET', key, 'granted', 'used', 'others', 'until', 'r:' .. process)
  if seen[4] and now >= tonumber(seen[4]) then return {-5, now} end
  local taken, amount = tonumber(seen[2] or 0), tonumber(ARGV[argument + i - 1])
  used[limits + i] = math.min(tonumber(seen[1] or 0), amount - tonumber(seen[3] or 0)) - taken
  if used[limits + i] < need then short = true end
  slices[i] = {key, taken + need, tonumber(seen[5] or 0) + need, not seen[5], need}
end
if short then return {-4, now, absent, unpack(used)} end
for i, slice in ipairs(slices) do
  redis.call('HSET', slice[1], 'used', slice[2], 'r:' .. process, slice[3])
  used[limits + i] = used[limits + i] - slice[5]
  if slice[4] then -- whoever sweeps up after this process finds it there
    redis.call('SADD', KEYS[next_key], slice[1])
    redis.call('PEXPIRE', KEYS[next_key], TOUCHED_MS)
  end
end

-- A set of slots must outlive its youngest lease. Where there is a window as well, its first admission in each second
-- sees to that.
local fresh = false
for _, take in ipairs(takes) do
  local last = take[7]
  if take[2] then
    fresh = take[2][3] == 0 and take[2][4] == 0
    add(take[1], take[2], take[3], take[4])
    if take[6] then used[last] = take[2][2] end
    if take[5] then used[take[6] and last - 1 or last] = take[2][1] end
  else
    redis.call('ZADD', take[1], now + lease_ms, lease)
    if take[5] or fresh then redis.call('PEXPIRE', take[1], lease_ms + BUCKET_MS) end
    used[last] = used[last] + 1
  end
end
return {1, now, absent, unpack(used)}
