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
	for _, folder := range []string{"keys", "certs", "trust"} {
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
		key, err := cfg.openChartKeyNamed(t.Context(), cfg.dir, keyCharts, password)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	if _, err := cfg.openChartKeyNamed(t.Context(), cfg.dir, keyCharts, password); err == nil || !strings.Contains(err.Error(), "keys create") {
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
	if _, err := cfg.openChartKeyNamed(t.Context(), cfg.dir, keyCharts, password); !errors.As(err, &usage) || !strings.Contains(err.Error(), "keys create") {
		t.Errorf("the ring says something else: %v", err)
	}
	renewed := create(birth.Add(2 * time.Hour))
	if renewed.Fingerprint() != first.Fingerprint() || renewed.Identity().UserID != "Acme <charts@acme.example>" || renewed.Identity().Expires.Year() != 2030 {
		t.Errorf("%s %+v", renewed.Fingerprint(), renewed.Identity())
	}

	// What the configuration does not say stays.
	cfg.Charts.UserID, cfg.Charts.Expires = "", ""
	if kept := create(birth.Add(3 * time.Hour)); kept.Identity() != renewed.Identity() || string(kept.Ring()) != string(renewed.Ring()) {
		t.Errorf("%+v", kept.Identity())
	}
	cfg.Charts.Expires = neverExpires
	if kept := create(birth.Add(3 * time.Hour)); !kept.Identity().Expires.IsZero() || kept.Identity().UserID != renewed.Identity().UserID {
		t.Errorf("%+v", kept.Identity())
	}
	ring := readFile(t, cfg.path("trust", keyringName))
	if ring != readFile(t, chartCertificate(cfg.dir, keyCharts)) {
		t.Error("the ring is not that of the key")
	}

	// A certificate of another key, and a ring: the first is the pin, the second
	// is made of it.
	other := chartConfig(t)
	if err := other.createChartKey(t.Context(), other.dir, password, birth); err != nil {
		t.Fatal(err)
	}
	strange := readFile(t, other.path("trust", keyringName))
	writeFile(t, cfg.path("trust", keyringName), strange)
	if err := cfg.createChartKey(t.Context(), cfg.dir, password, birth); err != nil || readFile(t, cfg.path("trust", keyringName)) != ring {
		t.Errorf("the ring is not made again: %v", err)
	}
	writeFile(t, chartCertificate(cfg.dir, keyCharts), strange)
	if _, err := cfg.openChartKeyNamed(t.Context(), cfg.dir, keyCharts, password); !errors.Is(err, pgp.ErrOtherKey) {
		t.Errorf("another key's certificate: %v", err)
	}
	if err := cfg.createChartKey(t.Context(), cfg.dir, password, birth); err == nil || !strings.Contains(err.Error(), pgp.ErrOtherKey.Error()) {
		t.Errorf("it is replaced: %v", err)
	}

	// A deployment of before there were certificates: the ring alone.
	if err := os.Remove(chartCertificate(cfg.dir, keyCharts)); err != nil {
		t.Fatal(err)
	}
	writeFile(t, cfg.path("trust", keyringName), ring)
	if again := create(birth.AddDate(1, 0, 0)); again.Fingerprint() != first.Fingerprint() || readFile(t, chartCertificate(cfg.dir, keyCharts)) != ring {
		t.Error("another fingerprint than before there were certificates")
	}
	writeFile(t, cfg.path("trust", keyringName), strange)
	if err := os.Remove(chartCertificate(cfg.dir, keyCharts)); err != nil {
		t.Fatal(err)
	}
	if err := cfg.createChartKey(t.Context(), cfg.dir, password, birth); err == nil || !strings.Contains(err.Error(), pgp.ErrOtherKey.Error()) {
		t.Errorf("another key's ring, of before: %v", err)
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
		"no day":          {ChartsConfig{PGPKey: "file", Expires: "soon"}, "is neither a day"},
		"never":           {ChartsConfig{PGPKey: "file", Expires: "never"}, ""},
		"RSA":             {ChartsConfig{PGPKey: "file", Algorithm: "rsa-4096"}, ""},
		"weak RSA":        {ChartsConfig{PGPKey: "file", Algorithm: "rsa-2048"}, "charts.algorithm: unsupported kind of key \"rsa-2048\": too weak"},
		"another kind":    {ChartsConfig{PGPKey: "file", Algorithm: "ed25519"}, "ecdsa-p256, rsa-3072 or rsa-4096"},
		"a KMS's kind":    {ChartsConfig{PGPKey: "hashivault://charts", Algorithm: "rsa-3072"}, "chosen where it is made"},
		"a kind alone":    {ChartsConfig{Algorithm: "rsa-3072"}, "are of a key"},
		"no text":         {ChartsConfig{PGPKey: "file", UserID: "caf\xe9"}, "UTF-8"},
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
