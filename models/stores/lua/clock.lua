-- Redis' own clock, put before the scripts that begin with `-- WITH clock`.
-- KEYS  none
-- ARGV  none
-- ANSWER of redis_now(): epoch milliseconds
local function redis_now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

