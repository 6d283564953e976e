// Boost.Beast as a peer of ringserve.
//
// Tuned as Boost's users do for such tests: an io_context and a listener of its own on each thread, so
// that no connection ever changes threads and nothing is locked; asynchronous reads and writes by
// callbacks, no timeouts; JSON by Boost.JSON, with its fast memory resource for what lives as long as a
// request. Beast leaves the Date to the program: it is made once a second. Fair because it has the same
// status, body, Content-Type and Date as the others.

#include <sys/socket.h>

#include <boost/asio.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/version.hpp>
#include <boost/json/src.hpp>
#include <boost/version.hpp>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
namespace json = boost::json;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

constexpr int backlog = 16384;
constexpr std::size_t json_bytes = 32 * 1024;

struct Order {
    std::int64_t id, customer_id, total_cents;
    std::string status, created_at;
};

Order tag_invoke(json::value_to_tag<Order>, const json::value& value) {
    const json::object& row = value.as_object();
    return {row.at("id").to_number<std::int64_t>(), row.at("customer_id").to_number<std::int64_t>(),
            row.at("total_cents").to_number<std::int64_t>(),
            json::value_to<std::string>(row.at("status")),
            json::value_to<std::string>(row.at("created_at"))};
}

void tag_invoke(json::value_from_tag, json::value& value, const Order& order) {
    value = {{"id", order.id},
             {"customer_id", order.customer_id},
             {"total_cents", order.total_cents},
             {"status", order.status},
             {"created_at", order.created_at}};
}

std::vector<Order> read_orders(const char* path) {
    std::ifstream file(path);
    if (!file) throw std::runtime_error(std::string("cannot read ") + path);
    const std::string text(std::istreambuf_iterator<char>(file), {});
    return json::value_to<std::vector<Order>>(json::parse(text));
}

// The text for the Date field, made anew when the second changes.
const std::string& date() {
    thread_local std::time_t made = 0;
    thread_local std::string text;
    const std::time_t now = std::time(nullptr);
    if (now != made) {
        char buffer[32];
        std::tm parts{};
        gmtime_r(&now, &parts);
        text.assign(buffer, std::strftime(buffer, sizeof buffer, "%a, %d %b %Y %H:%M:%S GMT", &parts));
        made = now;
    }
    return text;
}

class Session : public std::enable_shared_from_this<Session> {
public:
    Session(tcp::socket socket, const std::vector<Order>& orders)
        : socket_(std::move(socket)), orders_(orders) {}

    void read() {
        request_ = {};
        http::async_read(socket_, buffer_, request_,
                         [self = shared_from_this()](error_code error, std::size_t) {
                             // An error here is a client that went away, or talks nonsense.
                             if (!error) self->answer();
                         });
    }

private:
    void answer() {
        response_ = {};
        response_.version(request_.version());
        response_.keep_alive(request_.keep_alive());
        response_.set(http::field::date, date());
        const auto path = request_.target();
        if (path == "/") {
            finish(http::status::ok, "text/plain", "Hello, World!");
        } else if (path == "/orders") {
            finish_json([this](json::storage_ptr memory) {
                return json::value_from(orders_, std::move(memory));
            });
        } else if (path == "/ping" && request_.method() == http::verb::post) {
            ping();
        } else {
            finish(http::status::not_found, "text/plain", "not found");
        }
    }

    void ping() {
        error_code error;
        std::int64_t sequence = 0;
        const json::value body = json::parse(request_.body(), error);
        const json::value* member = error || !body.is_object() ? nullptr : body.as_object().if_contains("sequence");
        if (member) sequence = member->to_number<std::int64_t>(error);
        if (!member || error) return finish(http::status::bad_request, "text/plain", "bad request");
        finish_json([sequence](json::storage_ptr memory) {
            return json::value({{"sequence", sequence}}, std::move(memory));
        });
    }

    template <class MakeValue>
    void finish_json(MakeValue make) {
        unsigned char buffer[json_bytes];
        json::monotonic_resource memory(buffer);
        finish(http::status::ok, "application/json", json::serialize(make(&memory)));
    }

    void finish(http::status status, const char* content_type, std::string body) {
        response_.result(status);
        response_.set(http::field::content_type, content_type);
        response_.body() = std::move(body);
        response_.prepare_payload();
        auto written = [self = shared_from_this()](error_code error, std::size_t) { self->wrote(error); };
        if (request_.method() == http::verb::head) {
            head_only_ = http::response<http::empty_body>(response_.base());
            http::async_write(socket_, head_only_, std::move(written));
        } else {
            http::async_write(socket_, response_, std::move(written));
        }
    }

    void wrote(error_code error) {
        if (error) return;
        if (response_.keep_alive()) return read();
        socket_.shutdown(tcp::socket::shutdown_send, error);
    }

    tcp::socket socket_;
    const std::vector<Order>& orders_;
    beast::flat_buffer buffer_;
    http::request<http::string_body> request_;
    http::response<http::string_body> response_;
    http::response<http::empty_body> head_only_;
};

class Listener {
public:
    Listener(asio::io_context& context, const tcp::endpoint& endpoint, const std::vector<Order>& orders)
        : acceptor_(context), pause_(context), orders_(orders) {
        acceptor_.open(endpoint.protocol());
        acceptor_.set_option(tcp::acceptor::reuse_address(true));
        acceptor_.set_option(asio::detail::socket_option::boolean<SOL_SOCKET, SO_REUSEPORT>(true));
        acceptor_.bind(endpoint);
        acceptor_.listen(backlog);
        accept();
    }

private:
    void accept() {
        acceptor_.async_accept([this](error_code error, tcp::socket socket) {
            if (error) {
                // Out of descriptors, or gone before it was accepted: the next may do better.
                std::cerr << "accept: " << error.message() << '\n';
                pause_.expires_after(std::chrono::milliseconds(10));
                pause_.async_wait([this](error_code) { accept(); });
                return;
            }
            socket.set_option(tcp::no_delay(true), error);
            std::make_shared<Session>(std::move(socket), orders_)->read();
            accept();
        });
    }

    tcp::acceptor acceptor_;
    asio::steady_timer pause_;
    const std::vector<Order>& orders_;
};

tcp::endpoint endpoint_of(const std::string& listen) {
    const auto colon = listen.rfind(':');
    if (colon == std::string::npos) throw std::runtime_error("--listen takes ADDRESS:PORT");
    return {asio::ip::make_address(listen.substr(0, colon)),
            static_cast<unsigned short>(std::stoi(listen.substr(colon + 1)))};
}

void serve(const std::string& listen, int threads, const char* orders_path) {
    const std::vector<Order> orders = read_orders(orders_path);
    std::vector<std::unique_ptr<asio::io_context>> contexts;
    std::vector<std::unique_ptr<Listener>> listeners;
    for (int i = 0; i < threads; i++) {
        // One thread will run it: it need lock nothing.
        contexts.push_back(std::make_unique<asio::io_context>(1));
        listeners.push_back(std::make_unique<Listener>(*contexts.back(), endpoint_of(listen), orders));
    }
    std::vector<std::thread> running;
    for (auto& context : contexts) running.emplace_back([&context] { context->run(); });
    for (auto& thread : running) thread.join();
}

}  // namespace

int main(int argc, char** argv) {
    const std::vector<std::string> words(argv + 1, argv + argc);
    if (words.size() == 1 && words[0] == "--version") {
        std::cout << "boost-beast " << BOOST_VERSION / 100000 << '.' << BOOST_VERSION / 100 % 1000 << '.'
                  << BOOST_VERSION % 100 << '\n';
        return EXIT_SUCCESS;
    }
    std::string listen;
    const char* orders_path = nullptr;
    int threads = 1;
    for (std::size_t i = 0; i + 1 < words.size(); i += 2) {
        if (words[i] == "--listen") listen = words[i + 1];
        if (words[i] == "--threads") threads = std::atoi(words[i + 1].c_str());
        if (words[i] == "--orders") orders_path = words[i + 1].c_str();
    }
    if (listen.empty() || !orders_path || threads < 1) {
        std::cerr << "usage: --listen ADDRESS:PORT --threads N --orders FILE | --version\n";
        return 2;
    }
    try {
        serve(listen, threads, orders_path);
    } catch (const std::exception& error) {
        std::cerr << "peer-boost-beast: " << error.what() << '\n';
    }
    return EXIT_FAILURE;
}
