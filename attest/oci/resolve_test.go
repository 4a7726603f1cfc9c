// SPDX-License-Identifier: Apache-2.0

package oci_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
)

func TestResolveKinds(t *testing.T) {
	f := newFake(t, true)
	docker := strings.ReplaceAll(string(image("application/vnd.docker.container.image.v1+json")), ociManifest, dockerManifest)
	for name, tc := range map[string]struct {
		mediaType, body string
		kind            oci.Kind
	}{
		"image":            {ociManifest, string(image(imageConfig)), oci.KindImage},
		"docker-image":     {dockerManifest, docker, oci.KindImage},
		"without-own-type": {ociManifest, strings.Replace(string(image(imageConfig)), `"mediaType":"`+ociManifest+`",`, "", 1), oci.KindImage},
		"chart":            {ociManifest, string(image("application/vnd.cncf.helm.config.v1+json")), oci.KindChart},
		"hidden-chart":     {ociManifest, strings.Replace(string(image(imageConfig)), `"layers":[`, `"layers":[{"mediaType":"application/vnd.cncf.helm.chart.content.v1.tar+gzip","digest":"sha256:`+strings.Repeat("a", 64)+`","size":3}`, 1), oci.KindChart},
		"artifact":         {ociManifest, string(image("application/vnd.oci.empty.v1+json")), oci.KindArtifact},
		"other-artifact":   {ociManifest, string(image("application/x")), oci.KindArtifact},
		"index":            {ociIndex, string(referrerIndex(t)), oci.KindIndex},
		"docker-list":      {dockerList, strings.ReplaceAll(string(referrerIndex(t)), ociIndex, dockerList), oci.KindIndex},
		"null-list":        {ociIndex, `{"schemaVersion":2,"manifests":null}`, oci.KindIndex},
	} {
		t.Run(name, func(t *testing.T) {
			digest := f.push(name, tc.mediaType, []byte(tc.body))
			want := oci.Artifact{
				Registry: f.host, Repository: "acme/app", Tag: name, Digest: digest,
				MediaType: tc.mediaType, Size: int64(len(tc.body)), Kind: tc.kind,
			}
			c := f.client()
			got, err := c.Resolve(t.Context(), f.host+"/acme/app:"+name)
			if err != nil || got != want {
				t.Errorf("by tag: %+v, %v", got, err)
			}
			if got.String() != f.host+"/acme/app@"+string(digest) {
				t.Errorf("String is %s", got)
			}
			want.Tag = ""
			if got, err = c.Resolve(t.Context(), f.host+"/acme/app@"+string(digest)); err != nil || got != want {
				t.Errorf("by digest: %+v, %v", got, err)
			}
		})
	}
}

// TestResolveTagIsDecoration: with a digest beside it, a tag that moved or
// does not exist changes nothing.
func TestResolveTagIsDecoration(t *testing.T) {
	f := newFake(t, true)
	first := f.push("v1", ociManifest, image(imageConfig))
	second := f.push("v1", ociManifest, image("application/x"))
	c := f.client()
	for _, tag := range []string{"v1", "no-such-tag"} {
		got, err := c.Resolve(t.Context(), f.host+"/acme/app:"+tag+"@"+string(first))
		if err != nil || got.Digest != first || got.Kind != oci.KindImage || got.Tag != tag {
			t.Errorf("%s: %+v, %v", tag, got, err)
		}
	}
	if got, err := c.Resolve(t.Context(), f.host+"/acme/app:v1"); err != nil || got.Digest != second {
		t.Errorf("moved tag: %+v, %v", got, err)
	}
}

func TestResolveRefusesManifests(t *testing.T) {
	img := string(image(imageConfig))
	for name, tc := range map[string]struct{ contentType, body string }{
		"schema 1":               {"application/vnd.docker.distribution.manifest.v1+prettyjws", `{"schemaVersion":1,"fsLayers":[],"history":[]}`},
		"schema 1 in disguise":   {ociManifest, `{"schemaVersion":1,"config":{},"layers":[]}`},
		"schema 1 layers":        {ociManifest, strings.Replace(img, `"layers"`, `"fsLayers":[],"layers"`, 1)},
		"layers and manifests":   {ociManifest, strings.Replace(img, `"layers"`, `"manifests":[],"layers"`, 1)},
		"index with layers":      {ociIndex, `{"schemaVersion":2,"manifests":[],"layers":null}`},
		"index with config":      {ociIndex, `{"schemaVersion":2,"manifests":[],"config":null}`},
		"index with Layers":      {ociIndex, `{"schemaVersion":2,"manifests":[],"Layers":[]}`},
		"type against body":      {dockerManifest, img},
		"type against shape":     {ociIndex, strings.Replace(img, ociManifest, ociIndex, 1)},
		"index as manifest":      {ociManifest, `{"schemaVersion":2,"manifests":[]}`},
		"unknown type":           {"application/vnd.oci.artifact.manifest.v1+json", `{"schemaVersion":2,"config":{},"layers":[]}`},
		"no type":                {"", img},
		"type of people":         {"text/html", img},
		"neither":                {ociManifest, `{"schemaVersion":2}`},
		"config is null":         {ociManifest, `{"schemaVersion":2,"config":null,"layers":[]}`},
		"config Digest":          {ociManifest, strings.Replace(img, `"digest"`, `"Digest"`, 1)},
		"no schema version":      {ociManifest, `{"config":{},"layers":[]}`},
		"schema version 3":       {ociManifest, `{"schemaVersion":3,"config":{},"layers":[]}`},
		"duplicate":              {ociManifest, strings.Replace(img, `"layers"`, `"config":{},"layers"`, 1)},
		"case variant of a type": {ociManifest, strings.Replace(img, `"layers"`, `"MediaType":"x","layers"`, 1)},
		"null":                   {ociManifest, `null`},
		"array":                  {ociManifest, `[]`},
		"not JSON":               {ociManifest, `<html>`},
		"trailing data":          {ociManifest, img + "{}"},
		"layer is null":          {ociManifest, strings.Replace(img, `"layers":[]`, `"layers":[null]`, 1)},
		"empty":                  {ociManifest, ``},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, true)
			f.misbehave(func(w http.ResponseWriter, _ *http.Request) bool {
				w.Header()["Content-Type"] = []string{tc.contentType}
				_, _ = w.Write([]byte(tc.body))
				return true
			})
			got, err := f.client().Resolve(t.Context(), f.host+"/acme/app@"+string(attest.DigestOf([]byte(tc.body))))
			if !errors.Is(err, oci.ErrBadManifest) || got != (oci.Artifact{}) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

func TestResolveErrors(t *testing.T) {
	other, visits := stranger(t)
	status := func(code int) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(code)
			_, _ = w.Write([]byte(`{"errors":[{"code":"BAD","message":"line\nbreak"}]}`))
			return true
		}
	}
	redirect := func(url string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, url, http.StatusTemporaryRedirect)
			return true
		}
	}
	for name, tc := range map[string]struct {
		trick func(w http.ResponseWriter, r *http.Request) bool
		want  error
	}{
		"not found":       {nil, oci.ErrNotFound},
		"unauthorised":    {status(401), oci.ErrDenied},
		"forbidden":       {status(403), oci.ErrDenied},
		"too many":        {status(429), oci.ErrUnavailable},
		"server error":    {status(500), oci.ErrUnavailable},
		"bad gateway":     {status(502), oci.ErrUnavailable},
		"bad request":     {status(400), oci.ErrRejected},
		"no content":      {status(204), oci.ErrRejected},
		"other host":      {redirect("http://" + other + "/v2/"), oci.ErrForeignRegistry},
		"other scheme":    {redirect("https://" + other + "/v2/"), oci.ErrForeignRegistry},
		"redirect circle": {func(w http.ResponseWriter, r *http.Request) bool { return redirect(r.URL.Path)(w, r) }, oci.ErrRejected},
		"hangs up":        {func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }, oci.ErrUnavailable},
		"wrong bytes": {func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Type", ociManifest)
			_, _ = w.Write(image("application/x"))
			return true
		}, oci.ErrDigestMismatch},
		"huge manifest": {func(w http.ResponseWriter, _ *http.Request) bool {
			for range 5 << 10 {
				_, _ = w.Write(make([]byte, 1<<10))
			}
			return true
		}, oci.ErrTooLarge},
		"cut short": {func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte("{"))
			panic(http.ErrAbortHandler)
		}, oci.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, true)
			f.misbehave(tc.trick)
			got, err := f.client().Resolve(t.Context(), f.host+"/acme/app@"+string(attest.DigestOf(image(imageConfig))))
			if !errors.Is(err, tc.want) || got != (oci.Artifact{}) {
				t.Errorf("%+v, %v", got, err)
			}
			if err != nil && (strings.ContainsRune(err.Error(), '\n') || !strings.Contains(err.Error(), "acme/app")) {
				t.Errorf("message %q is not one line that names the object", err)
			}
		})
	}
	if n := visits.Load(); n != 0 {
		t.Errorf("another host was visited %d times", n)
	}
}

// TestResolveRefusesContradictingHeader: by tag there is only the registry's
// word to compare the bytes with.
func TestResolveRefusesContradictingHeader(t *testing.T) {
	f := newFake(t, true)
	f.misbehave(func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", ociManifest)
		w.Header().Set("Docker-Content-Digest", string(attest.DigestOf(image(imageConfig))))
		_, _ = w.Write(image("application/x"))
		return true
	})
	if got, err := f.client().Resolve(t.Context(), f.host+"/acme/app:v1"); !errors.Is(err, oci.ErrDigestMismatch) {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestResolveForeign: hosts that are not allowed are not connected to.
func TestResolveForeign(t *testing.T) {
	f := newFake(t, true)
	other, visits := stranger(t)
	for _, ref := range []string{other + "/acme/app:v1", "localhost:" + strings.Split(f.host, ":")[1] + "/acme/app:v1", "registry.example/acme/app:v1"} {
		if _, err := f.client().Resolve(t.Context(), ref); !errors.Is(err, oci.ErrForeignRegistry) {
			t.Errorf("%s: %v", ref, err)
		}
	}
	if _, err := f.client().Resolve(t.Context(), "nginx"); !errors.Is(err, oci.ErrBadReference) {
		t.Errorf("bad reference: %v", err)
	}
	if n := len(f.seen()); n+int(visits.Load()) != 0 {
		t.Error("somebody was asked")
	}
}

// TestResolveEndsInTime: a registry that never answers does not hold anybody
// longer than the operation's timeout or the caller's context.
func TestResolveEndsInTime(t *testing.T) {
	f := newFake(t, true)
	f.misbehave(func(_ http.ResponseWriter, r *http.Request) bool {
		<-r.Context().Done()
		return true
	})
	ref := f.host + "/acme/app:v1"
	_, err := f.client(func(c *oci.Config) { c.Timeout = 20 * time.Millisecond }).Resolve(t.Context(), ref)
	if !errors.Is(err, oci.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("timeout: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	f.misbehave(func(_ http.ResponseWriter, r *http.Request) bool {
		cancel()
		<-r.Context().Done()
		return true
	})
	if _, err = f.client().Resolve(ctx, ref); !errors.Is(err, oci.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestResolveFollowsOwnHost: a redirect within the host is followed.
func TestResolveFollowsOwnHost(t *testing.T) {
	f := newFake(t, true)
	digest := f.push("v2", ociManifest, image(imageConfig))
	f.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/v1") {
			return false
		}
		http.Redirect(w, r, "/v2/acme/app/manifests/v2", http.StatusFound)
		return true
	})
	if got, err := f.client().Resolve(t.Context(), f.host+"/acme/app:v1"); err != nil || got.Digest != digest {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestNewRefuses(t *testing.T) {
	for name, cfg := range map[string]oci.Config{
		"no registry":         {},
		"no host":             {Registries: []oci.Registry{{}}},
		"URL":                 {Registries: []oci.Registry{{Host: "https://registry.example"}}},
		"upper case":          {Registries: []oci.Registry{{Host: "Registry.example"}}},
		"path":                {Registries: []oci.Registry{{Host: "registry.example/acme"}}},
		"default port":        {Registries: []oci.Registry{{Host: "registry.example:443"}}},
		"insecure":            {Registries: []oci.Registry{{Host: "registry.example", Insecure: true}}},
		"insecure private":    {Registries: []oci.Registry{{Host: "10.0.0.1:5000", Insecure: true}}},
		"insecure token host": {Registries: []oci.Registry{{Host: "localhost:1", Insecure: true, TokenHost: "auth.example"}}},
		"bad blob host":       {Registries: []oci.Registry{{Host: "registry.example", BlobHosts: []string{"*.example"}}}},
		"twice":               {Registries: []oci.Registry{{Host: "registry.example"}, {Host: "registry.example"}}},
		"negative timeout":    {Registries: []oci.Registry{{Host: "registry.example"}}, Timeout: -1},
	} {
		if c, err := oci.New(cfg); err == nil || c != nil {
			t.Errorf("%s is accepted", name)
		}
	}
	if _, err := oci.New(oci.Config{Registries: []oci.Registry{{Host: "registry.example", TokenHost: "auth.example", BlobHosts: []string{"s3.example"}}, {Host: "127.0.0.1:5000", Insecure: true}}}); err != nil {
		t.Error(err)
	}
}
