-- Which server this is, put before the scripts that begin with `-- WITH instance`.
-- KEYS  none
-- ARGV  none
-- ANSWER of redis_instance(): its run id, which no other server has, nor this one after
-- a restart; '' where it tells none
local function redis_instance()
  return string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or ''
end
