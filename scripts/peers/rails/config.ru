# frozen_string_literal: true

# Rails as a peer of ringserve: an API-only application of one file, with Action Controller and nothing
# else of Rails.

require "logger" # before Rails, which in some versions expects others to have done so
require "json"
require "action_controller/railtie"

HELLO = "Hello, World!"
ORDERS = JSON.parse(File.read(File.expand_path("../orders.json", __dir__)))

class Peer < Rails::Application
  config.load_defaults "#{Rails::VERSION::MAJOR}.#{Rails::VERSION::MINOR}"
  config.root = __dir__
  config.eager_load = true
  config.api_only = true
  config.consider_all_requests_local = false
  config.secret_key_base = "nothing here is signed with it"
  config.logger = Logger.new(nil)
  config.log_level = :fatal
  # What stamps, hashes and logs each answer.
  [ActionDispatch::RequestId, Rack::Runtime, Rack::ETag, Rack::ConditionalGet, Rails::Rack::Logger].each do |layer|
    config.middleware.delete layer
  end

  routes.append do
    root to: "peer#hello"
    get "orders", to: "peer#orders"
    post "ping", to: "peer#ping"
  end
end

class PeerController < ActionController::API
  def hello
    render plain: HELLO
  end

  def orders
    render json: ORDERS
  end

  def ping
    render json: { sequence: params.require(:sequence) }
  end
end

Peer.initialize!
run Peer
