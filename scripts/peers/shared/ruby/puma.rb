# frozen_string_literal: true

# How puma serves the Ruby peers: a process for each thread asked for, since the threads of one run Ruby
# one at a time. Each has three threads of its own, as a new Rails project has.

processes = Integer(ENV.fetch("PEER_THREADS"))

# The queue of connections that wait to be accepted; the kernel lowers it to net.core.somaxconn.
bind "tcp://#{ENV.fetch('PEER_LISTEN')}?backlog=16384"
environment "production"
log_requests false

if processes > 1
  workers processes
  preload_app!
  # Seconds. Idle connections must not keep a worker from ending.
  worker_shutdown_timeout 1
end
threads 3, 3

# Seconds that a connection may be idle.
persistent_timeout 75
force_shutdown_after 1
raise_exception_on_sigterm false
