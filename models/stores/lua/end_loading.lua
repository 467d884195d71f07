-- Say that all standings are here, unless Redis forgot some while they were loaded.
-- KEYS  [1] mark of the loader  [2] mark of completeness
-- ARGV  [1] the loader's own mark
-- ANSWER 1 when complete, 0 when the loading must begin anew
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], 'complete')
redis.call('DEL', KEYS[1])
return 1
