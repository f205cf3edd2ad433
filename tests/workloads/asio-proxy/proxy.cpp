// A reverse proxy on boost::asio: coroutines on several threads, kept connections to the upstream.
#include <utility> // boost/asio.hpp of Boost 1.74 forgets it

#include <boost/asio.hpp>
#include <boost/beast.hpp>

#include <cstdlib>
#include <iostream>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::awaitable;
using asio::use_awaitable;
using asio::ip::tcp;

// Connections that nobody uses at the moment.
class Pool {
public:
    Pool(asio::io_context &context, tcp::endpoint upstream) : context(context), upstream(upstream) {}

    awaitable<std::unique_ptr<tcp::socket>> take()
    {
        {
            std::lock_guard guard(lock);
            if (!idle.empty()) {
                auto socket = std::move(idle.back());
                idle.pop_back();
                co_return socket;
            }
        }
        auto socket = std::make_unique<tcp::socket>(context);
        co_await socket->async_connect(upstream, use_awaitable);
        co_return socket;
    }

    void give(std::unique_ptr<tcp::socket> socket)
    {
        std::lock_guard guard(lock);
        if (idle.size() < 32)
            idle.push_back(std::move(socket));
    }

private:
    asio::io_context &context;
    tcp::endpoint upstream;
    std::mutex lock;
    std::vector<std::unique_ptr<tcp::socket>> idle;
};

static awaitable<void> session(tcp::socket client, Pool &pool)
{
    try {
        beast::flat_buffer buffer;
        for (;;) {
            http::request<http::string_body> request;
            co_await http::async_read(client, buffer, request, use_awaitable);
            auto upstream = co_await pool.take();
            co_await http::async_write(*upstream, request, use_awaitable);
            beast::flat_buffer answers;
            http::response<http::string_body> response;
            co_await http::async_read(*upstream, answers, response, use_awaitable);
            pool.give(std::move(upstream));
            co_await http::async_write(client, response, use_awaitable);
        }
    } catch (const std::exception &) {
        // one of the two has left
    }
}

static awaitable<void> serve(tcp::acceptor &acceptor, Pool &pool)
{
    for (;;) {
        tcp::socket client = co_await acceptor.async_accept(use_awaitable);
        client.set_option(tcp::no_delay(true));
        asio::co_spawn(acceptor.get_executor(), session(std::move(client), pool), asio::detached);
    }
}

int main()
{
    const char *text = std::getenv("PORT"), *address = std::getenv("UPSTREAM");
    std::string upstream = address ? address : "http://127.0.0.1:1";
    unsigned short port = std::atoi(text ? text : "8080");
    unsigned short behind = std::stoi(upstream.substr(upstream.rfind(':') + 1));
    asio::io_context context;
    Pool pool(context, tcp::endpoint(asio::ip::address_v4::loopback(), behind));
    tcp::acceptor acceptor(context, tcp::endpoint(asio::ip::address_v4::loopback(), port));
    asio::co_spawn(context, serve(acceptor, pool), asio::detached);
    std::cout << "listening on " << port << std::endl;
    std::thread second([&] { context.run(); });
    context.run();
}
