-- Figures of behaviour, put before the scripts that begin with `-- WITH … behaviour`.
-- KEYS  given to note(): one subject's figures, a packed row of numbers
-- ARGV  read by the script that calls it
-- ANSWER of note(key, stored, partner, seen): whether the partner is the one of the
--        request before, and whether it is time to keep the subject for a look: at its
--        first busy request, and then every few seconds
--   The row: when (double), then as floats: requests, gaps, their sum and squares in
--   seconds, answers not found, hops, the partner's mark, turns, the route's mark.
--   Hops are changes of the partner, turns are changes of the route. Every figure fades
--   by e in each window, so the row is a sliding window that needs no list. A gap
--   longer than a tenth of it is a pause and no rhythm.
--   stored: what stands under the key; partner: a mark, 0 = not known
--   seen: now, window (ms), busy, route, rhythm (boolean), misses
local ROW, KEEP_MS = '<dfffffffff', 5000

local function note(key, stored, partner, seen)
  local now, window = seen.now, seen.window
  local count, gaps, sum, squares, misses, hops, turns = 0, 0, 0, 0, 0, 0, 0
  local same, keep = true, false
  if stored then
    local at, known, route
    at, count, gaps, sum, squares, misses, hops, known, turns, route =
      struct.unpack(ROW, stored)
    local gap = now > at and now - at or 0
    local fade = math.exp(-gap / window)
    count, gaps, sum, squares = count * fade, gaps * fade, sum * fade, squares * fade
    misses, hops, turns = misses * fade, hops * fade, turns * fade
    if seen.rhythm and gap <= window / 10 then
      gap = gap / 1000
      gaps, sum, squares = gaps + 1, sum + gap, squares + gap * gap
    end
    if route ~= seen.route then turns = turns + 1 end
    same = partner == known
    if partner == 0 then partner = known
    elseif not same and known ~= 0 then hops = hops + 1 end
    keep = math.floor(now / KEEP_MS) ~= math.floor(at / KEEP_MS)
  end
  -- Half a request of grace: a single float rounds the step over the line away.
  keep = count + 1 >= seen.busy and (keep or count < seen.busy + 0.5)
  -- After three windows without a request a twentieth is left, which says nothing.
  redis.call('SET', key, struct.pack(ROW, now, count + 1, gaps, sum, squares,
    misses + seen.misses, hops, partner, turns, seen.route), 'PX', 3 * window)
  return same, keep
end

-- Keep a busy subject for the next look; the oldest go when there are too many.
local function keep_busy(key, name, most, seen)
  if redis.call('ZADD', key, seen.now, name) == 0 then return end
  redis.call('PEXPIRE', key, 3 * seen.window)
  local beyond = redis.call('ZCARD', key) - most
  if beyond > 0 then redis.call('ZREMRANGEBYRANK', key, 0, beyond - 1) end
end

