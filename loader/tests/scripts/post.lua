-- A form is posted; wrk.format adds the length.
wrk.method = "POST"
wrk.body   = "name=ring&colour=blue%20green"
wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"
