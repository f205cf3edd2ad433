import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.HttpURLConnection;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.SocketTimeoutException;
import java.net.URL;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.locks.ReentrantLock;

public class Server {
    private static final String UPSTREAM = System.getenv("UPSTREAM");
    private static final ExecutorService FAN = Executors.newFixedThreadPool(12);
    private static final ReentrantLock ONE_AT_A_TIME = new ReentrantLock();

    public static void main(String[] args) throws IOException {
        int port = Integer.parseInt(System.getenv().getOrDefault("PORT", "8080"));
        InetAddress loopback = InetAddress.getByName("127.0.0.1");
        HttpServer server = HttpServer.create(new InetSocketAddress(loopback, port), 128);
        server.setExecutor(Executors.newFixedThreadPool(4));
        server.createContext("/", Server::handle);
        server.start();
        System.out.println("listening on " + port);
    }

    private static void handle(HttpExchange exchange) throws IOException {
        try (exchange) {
            String[] parts = exchange.getRequestURI().getPath().split("/");
            String verb = parts.length > 1 ? parts[1] : "";
            String value = parts.length > 2 ? parts[2] : "";
            switch (verb) {
                case "" -> send(exchange, 200, "hello\n".getBytes());
                case "status" -> send(exchange, Integer.parseInt(value), ("status " + value + "\n").getBytes());
                case "slow" -> slow(exchange, Long.parseLong(value));
                case "call" -> call(exchange);
                case "work", "seq", "fan", "lock", "retry", "after", "late" -> {
                    job(verb, value);
                    send(exchange, 200, "done\n".getBytes());
                }
                case "echo" -> send(exchange, 200, exchange.getRequestBody().readAllBytes());
                default -> send(exchange, 404, "no such path\n".getBytes());
            }
        }
    }

    private static void slow(HttpExchange exchange, long millis) throws IOException {
        try {
            Thread.sleep(millis);
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
        }
        send(exchange, 200, "late\n".getBytes());
    }

    private static void job(String verb, String id) throws IOException {
        try {
            switch (verb) {
                case "work" -> {
                    fetch("/leaf/" + id + "/1");
                    Thread.sleep(3);
                }
                case "seq" -> {
                    fetch("/leaf/" + id + "/1");
                    Thread.sleep(3);
                    fetch("/leaf/" + id + "/2");
                }
                case "fan" -> {
                    List<Callable<Integer>> calls = List.of(
                            () -> fetch("/leaf/" + id + "/1"),
                            () -> fetch("/leaf/" + id + "/2"),
                            () -> fetch("/leaf/" + id + "/3"));
                    for (Future<Integer> call : FAN.invokeAll(calls)) {
                        call.get();
                    }
                }
                case "lock" -> {
                    ONE_AT_A_TIME.lock();
                    try {
                        fetch("/leaf/" + id + "/1");
                    } finally {
                        ONE_AT_A_TIME.unlock();
                    }
                }
                case "after" -> FAN.submit(() -> {
                    Thread.sleep(3);
                    return fetch("/leaf/" + id + "/1");
                });
                case "retry" -> {
                    if (fetch("/flaky/" + id + "/1") == 503) {
                        fetch("/flaky/" + id + "/1");
                    }
                }
                default -> giveUp(id);
            }
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
        } catch (java.util.concurrent.ExecutionException failed) {
            throw new IOException(failed.getCause());
        }
    }

    private static int fetch(String path) throws IOException {
        HttpURLConnection connection = (HttpURLConnection) new URL(UPSTREAM + path).openConnection();
        int status = connection.getResponseCode();
        try (var body = status < 400 ? connection.getInputStream() : connection.getErrorStream()) {
            if (body != null) {
                body.readAllBytes();
            }
        }
        return status;
    }

    private static void giveUp(String id) throws IOException {
        HttpURLConnection connection =
                (HttpURLConnection) new URL(UPSTREAM + "/slow/" + id + "/1").openConnection();
        connection.setReadTimeout(50);
        try {
            connection.getResponseCode();
        } catch (SocketTimeoutException late) {
            connection.disconnect();
        }
    }

    private static void call(HttpExchange exchange) throws IOException {
        URL target = new URL(UPSTREAM + "/?" + exchange.getRequestURI().getRawQuery());
        HttpURLConnection connection = (HttpURLConnection) target.openConnection();
        int status = connection.getResponseCode();
        var body = status < 400 ? connection.getInputStream() : connection.getErrorStream();
        if (body != null) {
            body.readAllBytes();
            body.close();
        }
        send(exchange, status, "called\n".getBytes());
    }

    private static void send(HttpExchange exchange, int status, byte[] body) throws IOException {
        exchange.getResponseHeaders().set("Content-Type", "text/plain");
        boolean bodyless = status == 204 || status == 304;
        exchange.sendResponseHeaders(status, bodyless || body.length == 0 ? -1 : body.length);
        if (!bodyless) {
            exchange.getResponseBody().write(body);
        }
    }
}
