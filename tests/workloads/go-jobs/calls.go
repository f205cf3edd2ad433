package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"
)

var upstream = os.Getenv("UPSTREAM")

var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32}}

// A fetcher asks the upstream for a path and answers the status.
type fetcher interface {
	fetch(ctx context.Context, path string) (int, error)
}

// direct calls from the goroutine of the caller.
type direct struct{}

func (direct) fetch(ctx context.Context, path string) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, upstream+path, nil)
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

type result struct {
	status int
	err    error
}

type job struct {
	ctx     context.Context
	timeout time.Duration
	path    string
	result  chan result
}

// pool hands calls to workers over a channel.
type pool struct {
	jobs chan job
	// the workers see the context of the request
	carry bool
}

func newPool(workers int, carry bool) *pool {
	p := &pool{jobs: make(chan job), carry: carry}
	for range workers {
		go p.work()
	}
	return p
}

func (p *pool) work() {
	for j := range p.jobs {
		ctx, cancel := context.WithTimeout(j.ctx, j.timeout)
		status, err := direct{}.fetch(ctx, j.path)
		cancel()
		j.result <- result{status, err}
	}
}

func (p *pool) fetch(ctx context.Context, path string) (int, error) {
	j := job{ctx: context.Background(), timeout: 30 * time.Second, path: path, result: make(chan result, 1)}
	if p.carry {
		j.ctx = ctx
	} else if deadline, ok := ctx.Deadline(); ok {
		j.timeout = time.Until(deadline)
	}
	p.jobs <- j
	r := <-j.result
	return r.status, r.err
}

// flight makes one call for all that ask for the same at once.
type flight struct{ group singleflight.Group }

func (f *flight) fetch(ctx context.Context, path string) (int, error) {
	select {
	case r := <-f.group.DoChan(path, func() (any, error) { return direct{}.fetch(ctx, path) }):
		if r.Err != nil {
			return 0, r.Err
		}
		return r.Val.(int), nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

var oneAtATime sync.Mutex

// serve does what the first segment of the path names.
func serve(ctx context.Context, f fetcher, verb, id string) error {
	leaf := func(step int) string { return fmt.Sprintf("/leaf/%s/%d", id, step) }
	switch verb {
	case "work":
		_, err := f.fetch(ctx, leaf(1))
		time.Sleep(3 * time.Millisecond)
		return err
	case "seq":
		if _, err := f.fetch(ctx, leaf(1)); err != nil {
			return err
		}
		<-time.After(3 * time.Millisecond)
		_, err := f.fetch(ctx, leaf(2))
		return err
	case "fan":
		group, ctx := errgroup.WithContext(ctx)
		for step := 1; step <= 3; step++ {
			group.Go(func() error {
				_, err := f.fetch(ctx, leaf(step))
				return err
			})
		}
		return group.Wait()
	case "lock":
		oneAtATime.Lock()
		defer oneAtATime.Unlock()
		_, err := f.fetch(ctx, leaf(1))
		return err
	case "retry":
		status, err := f.fetch(ctx, "/flaky/"+id+"/1")
		if err == nil && status == http.StatusServiceUnavailable {
			_, err = f.fetch(ctx, "/flaky/"+id+"/1")
		}
		return err
	case "after":
		ctx := context.WithoutCancel(ctx)
		go func() {
			time.Sleep(3 * time.Millisecond)
			f.fetch(ctx, leaf(1))
		}()
		return nil
	case "late":
		ctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		f.fetch(ctx, "/slow/"+id+"/1")
		return nil
	}
	return fmt.Errorf("no such path: %s", verb)
}
