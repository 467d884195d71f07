-- WITH clock
-- Shut a path of WeChat for all processes; its probe is due after a while.
-- KEYS  [1] shut paths
-- ARGV  [1] path  [2] milliseconds until the probe  [3] life of the record in ms
-- ANSWER when the probe is due, in epoch ms
local due = string.format('%d', redis_now() + ARGV[2])
redis.call('HSET', KEYS[1], ARGV[1], due)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return due
