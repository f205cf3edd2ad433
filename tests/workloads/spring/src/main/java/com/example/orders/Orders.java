package com.example.orders;

import java.time.Duration;
import java.util.concurrent.Semaphore;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.context.annotation.Profile;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.reactive.function.client.ClientResponse;
import org.springframework.web.reactive.function.client.WebClient;
import reactor.core.publisher.Flux;
import reactor.core.publisher.Mono;
import reactor.core.scheduler.Schedulers;

/** Reactive: event loops of Netty, WebClient. */
@RestController
@Profile("reactive")
public class Orders {
    private final Semaphore oneAtATime = new Semaphore(1);
    private final WebClient client;

    public Orders(WebClient.Builder builder, @Value("${UPSTREAM:}") String upstream) {
        this.client = builder.baseUrl(upstream).build();
    }

    static Mono<Integer> status(ClientResponse answer) {
        return answer.releaseBody().thenReturn(answer.statusCode().value());
    }

    private Mono<Integer> fetch(String path) {
        return client.get().uri(path).exchangeToMono(Orders::status);
    }

    @GetMapping("/work/{id}")
    public Mono<String> work(@PathVariable("id") String id) {
        return fetch("/leaf/" + id + "/1").delayElement(Duration.ofMillis(3)).thenReturn("done\n");
    }

    @GetMapping("/seq/{id}")
    public Mono<String> seq(@PathVariable("id") String id) {
        return fetch("/leaf/" + id + "/1")
                .delayElement(Duration.ofMillis(3))
                .then(fetch("/leaf/" + id + "/2"))
                .thenReturn("done\n");
    }

    @GetMapping("/fan/{id}")
    public Mono<String> fan(@PathVariable("id") String id) {
        return Flux.just(1, 2, 3).flatMap(step -> fetch("/leaf/" + id + "/" + step)).then(Mono.just("done\n"));
    }

    @GetMapping("/lock/{id}")
    public Mono<String> lock(@PathVariable("id") String id) {
        return Mono.fromRunnable(oneAtATime::acquireUninterruptibly)
                .subscribeOn(Schedulers.boundedElastic())
                .then(fetch("/leaf/" + id + "/1"))
                .doFinally(end -> oneAtATime.release())
                .thenReturn("done\n");
    }

    @GetMapping("/retry/{id}")
    public Mono<String> retry(@PathVariable("id") String id) {
        return fetch("/flaky/" + id + "/1")
                .flatMap(status -> status == 503 ? fetch("/flaky/" + id + "/1") : Mono.just(status))
                .thenReturn("done\n");
    }

    @GetMapping("/after/{id}")
    public Mono<String> after(@PathVariable("id") String id) {
        Mono.delay(Duration.ofMillis(3)).then(fetch("/leaf/" + id + "/1")).subscribe();
        return Mono.just("done\n");
    }

    @GetMapping("/late/{id}")
    public Mono<String> late(@PathVariable("id") String id) {
        return fetch("/slow/" + id + "/1").timeout(Duration.ofMillis(50)).onErrorReturn(504).thenReturn("done\n");
    }
}
