"""A lean HTTP/1.1 path inside gunicorn's gevent worker; docs/decisions says why."""
