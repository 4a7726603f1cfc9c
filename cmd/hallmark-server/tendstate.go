// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hallmark-dev/hallmark/internal/obs"
	"github.com/hallmark-dev/hallmark/signer/trustroot/tuf"
)

// tufPath is where the trust repository is served.
const tufPath = "/tuf/"

// register adds the repository to the metrics.
func (t *tender) register(metrics prometheus.Registerer) error {
	return metrics.Register(t)
}

func expiresMetric() *prometheus.Desc {
	return prometheus.NewDesc("hallmark_tuf_expires_timestamp_seconds",
		"When clients stop to believe each role of the trust repository, in seconds since 1970.", []string{"role"}, nil)
}

func failedMetric() *prometheus.Desc {
	return prometheus.NewDesc("hallmark_trust_failed", "1 while the trust material or its repository cannot be brought up to date.", nil, nil)
}

// Describe implements prometheus.Collector.
func (t *tender) Describe(ch chan<- *prometheus.Desc) {
	ch <- expiresMetric()
	ch <- failedMetric()
}

// Collect implements prometheus.Collector.
func (t *tender) Collect(ch chan<- prometheus.Metric) {
	status, failed := t.last()
	for role, expires := range status.Expires {
		ch <- prometheus.MustNewConstMetric(expiresMetric(), prometheus.GaugeValue, float64(expires.Unix()), string(role))
	}
	value := 0.0
	if failed != nil {
		value = 1
	}
	ch <- prometheus.MustNewConstMetric(failedMetric(), prometheus.GaugeValue, value)
}

// last is what the last look came to. Nobody writes to its map: each look makes
// another.
func (t *tender) last() (tuf.Status, error) {
	if last := t.shown.Load(); last != nil {
		return last.status, last.err
	}
	return tuf.Status{}, nil
}

// ready warns of a repository that clients will soon refuse. It never takes the
// service out of use: what is signed now does not depend on it.
func (t *tender) ready(context.Context) error {
	status, failed := t.last()
	if failed != nil {
		return obs.Warning{Err: failed}
	}
	return t.expiring(status, time.Now())
}

// expiring says which role nobody will renew in time: the server renews what it
// has the keys of at a third of its life, so that less than that is left only
// when something is wrong, or when the holders are wanted.
func (t *tender) expiring(status tuf.Status, now time.Time) error {
	for _, role := range slices.Sorted(maps.Keys(status.Expires)) {
		margin := t.cfg.TUF.WarnBefore
		if life, online := t.cfg.TUF.life()[role]; online {
			margin = min(margin, life/2)
		}
		if expires := status.Expires[role]; !now.Before(expires.Add(-margin)) {
			hint := "hallmark root next, sign and publish"
			if role != tuf.RoleRoot {
				hint = "the log says why it is not renewed; targets need keys/tuf-targets.key"
			}
			return obs.Warning{Err: fmt.Errorf("%s of the trust repository expires on %s, then clients refuse everything (hint: %s)", role, expires.Format(time.RFC3339), hint)}
		}
	}
	return nil
}
