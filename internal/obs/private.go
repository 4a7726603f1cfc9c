// SPDX-License-Identifier: Apache-2.0

package obs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// checkTimeout bounds each readiness check. It is below the second that a
// kubelet waits by default, so that the answer names the check instead of
// being cut off.
const checkTimeout = 800 * time.Millisecond

// Check is one condition of readiness. It must return soon after ctx ends.
type Check func(ctx context.Context) error

// Warning is what a Check returns for something that a person has to look at
// and that does not keep the service from serving.
type Warning struct{ Err error }

// Error implements error.
func (w Warning) Error() string { return w.Err.Error() }

// Unwrap returns the cause.
func (w Warning) Unwrap() error { return w.Err }

// Private configures the private listener's handler.
type Private struct {
	// Registry is what /metrics shows.
	Registry *prometheus.Registry
	// Ready are the conditions of readiness by name, for example "database".
	// All of them must hold.
	Ready map[string]Check
	// Logger gets the reason of each failed check.
	Logger *slog.Logger
}

// Handler serves the three paths of the private listener:
//
//	/healthz  200 as long as the process answers at all: restart it otherwise
//	/readyz   200 if every check passes, else 503; the body names each check
//	/metrics  Prometheus text
//
// The listener must not be reachable by clients: metrics tell an attacker how
// busy the service is.
func (p Private) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = fmt.Fprintln(w, "ok") // the prober may have gone
	})
	mux.HandleFunc("GET /readyz", p.readyz)
	mux.Handle("GET /metrics", promhttp.HandlerFor(p.Registry, promhttp.HandlerOpts{}))
	return mux
}

// readyz answers {"name": "ok" | "warning" | "failed", …}. Reasons go to the log: they may
// name hosts and files.
func (p Private) readyz(w http.ResponseWriter, r *http.Request) {
	results, ready := p.runChecks(r.Context())
	w.Header().Set("Content-Type", "application/json")
	if !ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(results) // the prober may have gone
}

// runChecks runs all checks at once: the slowest decides how long it takes.
func (p Private) runChecks(ctx context.Context) (results map[string]string, ready bool) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	var (
		mu sync.Mutex // guards results and ready
		wg sync.WaitGroup
	)
	results, ready = make(map[string]string, len(p.Ready)), true
	for name, check := range p.Ready {
		wg.Go(func() {
			err := check(ctx)
			mu.Lock()
			defer mu.Unlock()
			results[name] = "ok"
			var warning Warning
			if errors.As(err, &warning) {
				results[name] = "warning"
				p.Logger.WarnContext(ctx, "readiness check warns", "check", name, "error", err)
				return
			}
			if err != nil {
				results[name], ready = "failed", false
				p.Logger.WarnContext(ctx, "readiness check failed", "check", name, "error", err)
			}
		})
	}
	wg.Wait()
	return results, ready
}
