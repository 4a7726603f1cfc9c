// SPDX-License-Identifier: Apache-2.0

package obs

import (
	"net/http"
	"runtime"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Namespace is the first word of every metric's name.
const Namespace = "hallmark"

// NewRegistry returns a registry of its own, not the process-wide default,
// with the Go runtime, the process and hallmark_build_info. Two servers in one
// process, as in tests, do not collide.
func NewRegistry(version string) *prometheus.Registry {
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace:   Namespace,
		Name:        "build_info",
		Help:        "Always 1; the labels tell what is running.",
		ConstLabels: prometheus.Labels{"version": version, "go": runtime.Version()},
	})
	info.Set(1)
	r := prometheus.NewRegistry()
	r.MustRegister(info, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// durationBuckets reach from a cached tile (under a millisecond) over a
// signature (tens of milliseconds) to a request timeout, in seconds.
func durationBuckets() []float64 {
	return []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
}

// requestMetrics counts what the log lists. Every label has few values: a
// route is a pattern, never a path, since a path holds digests.
type requestMetrics struct {
	duration *prometheus.HistogramVec
	inFlight prometheus.Gauge
}

func newRequestMetrics(r prometheus.Registerer) (requestMetrics, error) {
	m := requestMetrics{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: Namespace,
			Name:      "http_request_duration_seconds",
			Help:      "Time from a request's headers to the end of its response.",
			Buckets:   durationBuckets(),
		}, []string{"method", "route", "code"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: Namespace,
			Name:      "http_requests_in_flight",
			Help:      "Requests that are being answered.",
		}),
	}
	for _, c := range []prometheus.Collector{m.duration, m.inFlight} {
		if err := r.Register(c); err != nil {
			return requestMetrics{}, err
		}
	}
	return m, nil
}

func (m requestMetrics) observe(method, route string, status int, d time.Duration) {
	m.duration.WithLabelValues(knownMethod(method), route, strconv.Itoa(status)).Observe(d.Seconds())
}

// knownMethod bounds the method label: a client can invent methods, and each
// would be a time series for ever.
func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}
