package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// A fetcher asks for a path and answers the status.
type fetcher func(ctx context.Context, path string) (int, error)

// over asks the server at base by client.
func over(client *http.Client, base string) fetcher {
	return func(ctx context.Context, path string) (int, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+path, nil)
		if err != nil {
			return 0, err
		}
		answer, err := client.Do(request)
		if err != nil {
			return 0, err
		}
		defer answer.Body.Close()
		io.Copy(io.Discard, answer.Body)
		return answer.StatusCode, nil
	}
}

var oneAtATime sync.Mutex

// serve does what the first segment of the path names.
func serve(ctx context.Context, fetch fetcher, verb, id string) error {
	hop := func(ctx context.Context, step int) error {
		_, err := fetch(ctx, fmt.Sprintf("/hop/%s/%d", id, step))
		return err
	}
	switch verb {
	case "work":
		err := hop(ctx, 1)
		time.Sleep(3 * time.Millisecond)
		return err
	case "seq":
		if err := hop(ctx, 1); err != nil {
			return err
		}
		<-time.After(3 * time.Millisecond)
		return hop(ctx, 2)
	case "fan":
		failed := make(chan error, 3)
		for step := 1; step <= 3; step++ {
			go func(step int) { failed <- hop(ctx, step) }(step)
		}
		var err error
		for range [3]int{} {
			if one := <-failed; one != nil {
				err = one
			}
		}
		return err
	case "lock":
		oneAtATime.Lock()
		defer oneAtATime.Unlock()
		return hop(ctx, 1)
	case "after":
		go func() {
			time.Sleep(3 * time.Millisecond)
			hop(context.Background(), 1)
		}()
		return nil
	}
	return fmt.Errorf("no such path: %s", verb)
}

// front answers the requests from outside.
func front(fetch fetcher) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		parts := strings.Split(r.URL.Path, "/")
		if len(parts) != 3 {
			http.NotFound(w, r)
			return
		}
		if err := serve(r.Context(), fetch, parts[1], parts[2]); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		io.WriteString(w, "done\n")
	})
}

// hop passes a call on.
func hop(fetch fetcher) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, err := fetch(r.Context(), "/leaf/"+strings.TrimPrefix(r.URL.Path, "/hop/"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		w.WriteHeader(status)
		io.WriteString(w, "passed on\n")
	})
}
