# frozen_string_literal: true

# puma as a peer of ringserve: a bare Rack application, without a framework.

require "json"

HELLO = "Hello, World!"
ORDERS = JSON.parse(File.read(File.expand_path("../orders.json", __dir__)))

def text(status, body)
  [status, { "content-type" => "text/plain; charset=utf-8" }, [body]]
end

def json(value)
  [200, { "content-type" => "application/json" }, [JSON.generate(value)]]
end

def ping(env)
  json("sequence" => JSON.parse(env["rack.input"].read).fetch("sequence"))
rescue JSON::ParserError, KeyError, NoMethodError
  text(400, "not a ping")
end

application = lambda do |env|
  case env["PATH_INFO"]
  when "/" then text(200, HELLO)
  when "/orders" then json(ORDERS)
  when "/ping" then env["REQUEST_METHOD"] == "POST" ? ping(env) : text(405, "POST only")
  else text(404, "not found")
  end
end

run application
