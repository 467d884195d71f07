-- Purpose: GET with bearer tokens in turn, so that many users are read.
-- Arguments: 1 = file with one access token a line.
local tokens, at = {}, 0

function init(args)
  for line in io.lines(args[1]) do tokens[#tokens + 1] = "Bearer " .. line end
end

function request()
  at = at % #tokens + 1
  return wrk.format("GET", nil, { Authorization = tokens[at] })
end
