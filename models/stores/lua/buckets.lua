-- Token buckets, put before the scripts that begin with `-- WITH buckets`.
-- KEYS  [first..] one bucket each, stored as "tokens:milliseconds"
-- ARGV  from `at`: burst and refill per second of each bucket in turn
-- ANSWER of take(first, at): refused, retry_ms, burst, remaining, reset_ms
--   refused  0 = one token taken from each, else the number of the bucket that is
--            empty (1 = KEYS[first]); then nothing was taken from any
--   burst, remaining, reset_ms  of the bucket nearest to its end, -1 without buckets
-- Time is Redis' own.
local function redis_now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function level_of(key, burst, refill, now)
  local stored = redis.call('GET', key)
  if not stored then return burst end
  local tokens, at = string.match(stored, '([^:]+):([^:]+)')
  return math.min(burst, tonumber(tokens) + math.max(0, now - tonumber(at)) * refill)
end

local function take(first, at)
  local now, left = redis_now(), {}
  local nearest, least = {-1, 0, 0}, 2
  for i = first, #KEYS do
    local slot = at + 2 * (i - first)
    local burst, refill = tonumber(ARGV[slot]), tonumber(ARGV[slot + 1]) / 1000
    local level = level_of(KEYS[i], burst, refill, now)
    if level < 1 then
      local full = math.ceil((burst - level) / refill)
      return i - first + 1, math.ceil((1 - level) / refill), burst, 0, full
    end
    left[i] = {level - 1, math.ceil((burst - level + 1) / refill)}
    if left[i][1] / burst < least then
      least = left[i][1] / burst
      nearest = {burst, math.floor(left[i][1]), left[i][2]}
    end
  end
  for i = first, #KEYS do
    redis.call('SET', KEYS[i], string.format('%.3f:%d', left[i][1], now),
      'PX', left[i][2] + 1000)
  end
  return 0, 0, nearest[1], nearest[2], nearest[3]
end
