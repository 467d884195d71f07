-- Token buckets, put before the scripts that begin with `-- WITH … buckets`.
-- KEYS  [first..] one bucket each, stored as "tokens:milliseconds"
-- ARGV  from `at`: burst and refill per second of each bucket in turn
-- ANSWER of take(first, at, how): refused, retry_ms, burst, remaining, reset_ms
--   refused  0 = one token taken from each, else the number of the bucket that is
--            empty (1 = KEYS[first]); then nothing was taken from any
--   burst, remaining, reset_ms  of the bucket nearest to its end, -1 without buckets
--   how      now: epoch ms; shrunk, share: this bucket (1 = KEYS[first]) has only that
--            share of burst and refill; book: where refusals.lua keeps this one, if it does
local function level_of(key, burst, refill, now)
  local stored = redis.call('GET', key)
  if not stored then return burst end
  local tokens, at = string.match(stored, '([^:]+):([^:]+)')
  return math.min(burst, tonumber(tokens) + math.max(0, now - tonumber(at)) * refill)
end

local function take(first, at, how)
  local now, left = how.now, {}
  local nearest, least = {-1, 0, 0}, 2
  for i = first, #KEYS do
    local slot, number = at + 2 * (i - first), i - first + 1
    local burst, refill = tonumber(ARGV[slot]), tonumber(ARGV[slot + 1]) / 1000
    if number == how.shrunk then
      burst, refill = math.max(1, math.floor(burst * how.share)), refill * how.share
    end
    local level = level_of(KEYS[i], burst, refill, now)
    if level < 1 then
      local wait_ms = math.ceil((1 - level) / refill)
      if how.book then refuse(how.book, KEYS[i], number, wait_ms) end
      return number, wait_ms, burst, 0, math.ceil((burst - level) / refill)
    end
    left[i] = {level - 1, math.ceil((burst - level + 1) / refill)}
    if left[i][1] / burst < least then
      least = left[i][1] / burst
      nearest = {burst, math.floor(left[i][1]), left[i][2]}
    end
  end
  for i = first, #KEYS do
    redis.call('SET', KEYS[i], string.format('%.6f:%d', left[i][1], now),
      'PX', left[i][2] + 1000)
  end
  return 0, 0, nearest[1], nearest[2], nearest[3]
end

