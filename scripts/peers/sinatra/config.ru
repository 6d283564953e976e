# frozen_string_literal: true

# Sinatra as a peer of ringserve, in its modular style.

require "json"
require "sinatra/base"

HELLO = "Hello, World!"
ORDERS = JSON.parse(File.read(File.expand_path("../orders.json", __dir__)))

class Peer < Sinatra::Base
  # What an API without pages, sessions and files does not use.
  disable :protection, :sessions, :static, :logging, :show_exceptions
  # It would make a URL of the host's name for each redirect, and a header for a chain of applications.
  disable :absolute_redirects, :x_cascade

  get "/" do
    content_type "text/plain"
    HELLO
  end

  get "/orders" do
    content_type :json
    JSON.generate(ORDERS)
  end

  post "/ping" do
    sequence = JSON.parse(request.body.read).fetch("sequence")
    content_type :json
    JSON.generate("sequence" => sequence)
  rescue JSON::ParserError, KeyError, NoMethodError
    halt 400, "not a ping"
  end
end

run Peer
