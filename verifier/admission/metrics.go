// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts and times what the webhook answered.
type Metrics struct {
	requests *prometheus.CounterVec
	seconds  prometheus.Histogram
}

// NewMetrics registers the webhook's metrics.
func NewMetrics(r prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "hallmark_admission_requests_total",
			Help: "Admission requests by outcome: allowed, unchanged, warned, static, denied, undecided, unreadable.",
		}, []string{"outcome"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "hallmark_admission_seconds",
			Help:    "Time from a decoded admission request to its answer.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 8}, // the last is our own deadline
		}),
	}
	for _, o := range []outcome{allowed, unchanged, warned, staticPod, denied, undecided, unreadable} {
		m.requests.WithLabelValues(string(o)) // alerts on a rate need the series before the first event
	}
	for _, c := range []prometheus.Collector{m.requests, m.seconds} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register admission metrics: %w", err)
		}
	}
	return m, nil
}

func (m *Metrics) observe(o outcome, took time.Duration) {
	m.requests.WithLabelValues(string(o)).Inc()
	m.seconds.Observe(took.Seconds())
}
