// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hallmark-dev/hallmark/internal/obs"
	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// logMetrics counts batches, by log. There are few logs, and their names are
// never reused.
type logMetrics struct {
	batches *prometheus.CounterVec
	entries *prometheus.CounterVec
	size    *prometheus.GaugeVec
	waiting *prometheus.HistogramVec
	latency *prometheus.HistogramVec
}

func newLogMetrics(r prometheus.Registerer) (*logMetrics, error) {
	opts := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: obs.Namespace, Subsystem: "log", Name: name, Help: help}
	}
	histogram := func(name, help string, buckets []float64) *prometheus.HistogramVec {
		o := opts(name, help)
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: o.Namespace, Subsystem: o.Subsystem, Name: o.Name, Help: o.Help, Buckets: buckets,
		}, []string{"log"})
	}
	m := &logMetrics{
		batches: prometheus.NewCounterVec(prometheus.CounterOpts(opts("batches_total", "Batches of the log, each one commit; result is ok or failed.")), []string{"log", "result"}),
		entries: prometheus.NewCounterVec(prometheus.CounterOpts(opts("entries_total", "Entries that this process added to the log.")), []string{"log"}),
		size:    prometheus.NewGaugeVec(prometheus.GaugeOpts(opts("size", "Entries of the log after this process's last batch.")), []string{"log"}),
		// From an idle log, where each waits alone, to the largest batch.
		waiting: histogram("batch_appends", "Appends that waited in the pool and were answered by one batch.", prometheus.ExponentialBuckets(1, 2, 10)),
		// From a commit on a fast disk to a lock that another replica holds.
		latency: histogram("batch_duration_seconds", "Time of a batch: lock, hash, sign, commit.", []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5}),
	}
	for _, c := range []prometheus.Collector{m.batches, m.entries, m.size, m.waiting, m.latency} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register log metrics: %w", err)
		}
	}
	return m, nil
}

// observe is tlog.Config.Observe.
func (m *logMetrics) observe(b tlog.BatchStats) {
	result := "ok"
	if b.Err != nil {
		result = "failed"
	} else {
		m.entries.WithLabelValues(b.Log).Add(float64(b.New))
		m.size.WithLabelValues(b.Log).Set(float64(b.Size))
	}
	m.batches.WithLabelValues(b.Log, result).Inc()
	m.waiting.WithLabelValues(b.Log).Observe(float64(b.Waiting))
	m.latency.WithLabelValues(b.Log).Observe(b.Took.Seconds())
}
