-- Shut a path of WeChat for all processes; its probe is due after a while.
-- KEYS  [1] shut paths
-- ARGV  [1] path  [2] milliseconds until the probe  [3] life of the record in ms
-- ANSWER when the probe is due, in epoch ms
local time = redis.call('TIME')
local due = string.format('%.0f', time[1] * 1000 + time[2] / 1000 + ARGV[2])
redis.call('HSET', KEYS[1], ARGV[1], due)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return due
