// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/signer/keys/pgp"
)

// chartConfig is a deployment's folder with a password and no key yet.
func chartConfig(t *testing.T) *Config {
	t.Helper()
	cfg := &Config{dir: t.TempDir(), Origin: "https://hallmark.example", Charts: ChartsConfig{PGPKey: inFile}}
	for _, folder := range []string{"keys", "trust"} {
		if err := os.Mkdir(cfg.path(folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return cfg
}

// The key is made once; who it is and until when may change, its fingerprint
// not.
func TestChartKey(t *testing.T) {
	cfg, password := chartConfig(t), []byte("secret")
	birth := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	create := func(at time.Time) *pgp.Key {
		t.Helper()
		if err := cfg.createChartKey(t.Context(), cfg.dir, password, at); err != nil {
			t.Fatal(err)
		}
		key, err := cfg.openChartKey(t.Context(), password)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	if _, err := cfg.openChartKey(t.Context(), password); err == nil || !strings.Contains(err.Error(), "keys create") {
		t.Errorf("before it is made: %v", err)
	}
	first := create(birth)
	if id := first.Identity(); id.UserID != "Hallmark <charts@hallmark.example>" || !id.Created.Equal(birth) || !id.Expires.IsZero() {
		t.Errorf("%+v", id)
	}
	if again := create(birth.Add(time.Hour)); again.Fingerprint() != first.Fingerprint() || string(again.Ring()) != string(first.Ring()) {
		t.Error("made twice")
	}
	cfg.Charts.UserID, cfg.Charts.Expires = "Acme <charts@acme.example>", "2030-12-31"
	var usage usageError
	if _, err := cfg.openChartKey(t.Context(), password); !errors.As(err, &usage) || !strings.Contains(err.Error(), "keys create") {
		t.Errorf("the ring says something else: %v", err)
	}
	renewed := create(birth.Add(2 * time.Hour))
	if renewed.Fingerprint() != first.Fingerprint() || renewed.Identity().UserID != "Acme <charts@acme.example>" || renewed.Identity().Expires.Year() != 2030 {
		t.Errorf("%s %+v", renewed.Fingerprint(), renewed.Identity())
	}

	// A ring of another key.
	other := chartConfig(t)
	if err := other.createChartKey(t.Context(), other.dir, password, birth); err != nil {
		t.Fatal(err)
	}
	ring, err := os.ReadFile(other.path("trust", keyringName))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cfg.path("trust", keyringName), ring, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := cfg.openChartKey(t.Context(), password); !errors.Is(err, pgp.ErrOtherKey) {
		t.Errorf("another key's ring: %v", err)
	}
	if err := cfg.createChartKey(t.Context(), cfg.dir, password, birth); err == nil || !strings.Contains(err.Error(), pgp.ErrOtherKey.Error()) {
		t.Errorf("it is replaced: %v", err)
	}
}

func TestChartsConfig(t *testing.T) {
	for name, tc := range map[string]struct {
		charts ChartsConfig
		says   string
	}{
		"nothing":         {ChartsConfig{}, ""},
		"a file":          {ChartsConfig{PGPKey: "file"}, ""},
		"a KMS":           {ChartsConfig{PGPKey: "hashivault://charts"}, ""},
		"no reference":    {ChartsConfig{PGPKey: "charts.key"}, "charts.pgpKey"},
		"a user alone":    {ChartsConfig{UserID: "a"}, "are of a key"},
		"two lines":       {ChartsConfig{PGPKey: "file", UserID: "a\nb"}, "want one line"},
		"no day":          {ChartsConfig{PGPKey: "file", Expires: "soon"}, "is not a day"},
		"a long time-out": {ChartsConfig{Timeout: Duration{time.Hour}}, "more than"},
	} {
		err := (&Config{Origin: "https://hallmark.example", Charts: tc.charts}).checkCharts()
		if (err == nil) != (tc.says == "") || (err != nil && !strings.Contains(err.Error(), tc.says)) {
			t.Errorf("%s: %v, want %q", name, err, tc.says)
		}
	}
	cfg := &Config{dir: "/srv/hallmark", Charts: ChartsConfig{Reader: "bin/reader"}}
	if path, err := cfg.chartReader(); err != nil || path != filepath.Join("/srv/hallmark", "bin/reader") {
		t.Errorf("%s, %v", path, err)
	}
}
