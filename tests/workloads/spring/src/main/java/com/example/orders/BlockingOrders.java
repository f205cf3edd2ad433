package com.example.orders;

import java.time.Duration;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.locks.ReentrantLock;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.context.annotation.Profile;
import org.springframework.http.client.SimpleClientHttpRequestFactory;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.client.HttpServerErrorException;
import org.springframework.web.client.ResourceAccessException;
import org.springframework.web.client.RestTemplate;
import org.springframework.web.reactive.function.client.WebClient;

/** A thread a request; calls by RestTemplate, or by WebClient and waiting for it. */
@RestController
@Profile("!reactive")
public class BlockingOrders {
    private final ExecutorService pool = Executors.newFixedThreadPool(12);
    private final ReentrantLock oneAtATime = new ReentrantLock();
    private final RestTemplate patient = new RestTemplate();
    private final RestTemplate hasty;
    private final WebClient client;
    private final boolean byWebClient;
    private final String upstream;

    public BlockingOrders(
            WebClient.Builder builder, @Value("${UPSTREAM:}") String upstream, @Value("${CLIENT:}") String client) {
        var factory = new SimpleClientHttpRequestFactory();
        factory.setReadTimeout(50);
        this.hasty = new RestTemplate(factory);
        this.client = builder.baseUrl(upstream).build();
        this.byWebClient = client.equals("webclient");
        this.upstream = upstream;
    }

    private int fetch(String path) {
        if (byWebClient) {
            return client.get().uri(path).exchangeToMono(Orders::status).block();
        }
        try {
            return patient.getForEntity(upstream + path, String.class).getStatusCode().value();
        } catch (HttpServerErrorException failed) {
            return failed.getStatusCode().value();
        }
    }

    @GetMapping("/work/{id}")
    public String work(@PathVariable("id") String id) throws InterruptedException {
        fetch("/leaf/" + id + "/1");
        Thread.sleep(3);
        return "done\n";
    }

    @GetMapping("/seq/{id}")
    public String seq(@PathVariable("id") String id) throws InterruptedException {
        fetch("/leaf/" + id + "/1");
        Thread.sleep(3);
        fetch("/leaf/" + id + "/2");
        return "done\n";
    }

    @GetMapping("/fan/{id}")
    public String fan(@PathVariable("id") String id) throws Exception {
        List<Callable<Integer>> calls = List.of(
                () -> fetch("/leaf/" + id + "/1"), () -> fetch("/leaf/" + id + "/2"), () -> fetch("/leaf/" + id + "/3"));
        for (Future<Integer> call : pool.invokeAll(calls)) {
            call.get();
        }
        return "done\n";
    }

    @GetMapping("/lock/{id}")
    public String lock(@PathVariable("id") String id) {
        oneAtATime.lock();
        try {
            fetch("/leaf/" + id + "/1");
        } finally {
            oneAtATime.unlock();
        }
        return "done\n";
    }

    @GetMapping("/retry/{id}")
    public String retry(@PathVariable("id") String id) {
        if (fetch("/flaky/" + id + "/1") == 503) {
            fetch("/flaky/" + id + "/1");
        }
        return "done\n";
    }

    @GetMapping("/after/{id}")
    public String after(@PathVariable("id") String id) {
        pool.submit(() -> {
            Thread.sleep(3);
            return fetch("/leaf/" + id + "/1");
        });
        return "done\n";
    }

    @GetMapping("/late/{id}")
    public String late(@PathVariable("id") String id) {
        String path = "/slow/" + id + "/1";
        if (byWebClient) {
            client.get().uri(path).exchangeToMono(Orders::status).timeout(Duration.ofMillis(50)).onErrorReturn(504).block();
            return "done\n";
        }
        try {
            hasty.getForEntity(upstream + path, String.class);
        } catch (ResourceAccessException late) {
            // the answer goes on without it
        }
        return "done\n";
    }
}
