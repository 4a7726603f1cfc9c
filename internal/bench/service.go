// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// maxAnswer bounds an answer that is read, bytes.
const maxAnswer = 1 << 20

// signatures measures from token to read-back attachment.
func (b *bench) signatures(ctx context.Context) error {
	title("signatures, end to end over HTTP: token to read-back attachment")
	token, err := b.dev.Token(ctx)
	if err != nil {
		return err
	}
	for _, load := range []struct{ clients, n int }{{1, 200}, {8, 800}, {32, 1600}} {
		refs, err := b.push(ctx, fmt.Sprintf("acme/bench%d", load.clients), load.n)
		if err != nil {
			return err
		}
		client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: load.clients}}
		r, err := loop(ctx, load.clients, load.n, func(ctx context.Context, i int) error {
			return post(ctx, client, b.dev.Env["HALLMARK_URL"]+"/hallmark/v1/sign", token, []byte(`{"image":"`+refs[i]+`"}`), http.StatusOK)
		})
		if err != nil {
			return err
		}
		note := ""
		if load.clients == 1 {
			own := r.p50() - b.registry.p50()
			note = fmt.Sprintf("without the registry's %s: %s", short(b.registry.p50()), short(own))
		}
		row(fmt.Sprintf("%d clients", load.clients), r, note)
	}
	_, _ = fmt.Println()
	return nil
}

// appends measures proved log writes: request to 201 with inclusion proof and
// signed checkpoint, the client's signature verified.
func (b *bench) appends(ctx context.Context) error {
	title("log appends over HTTP (Rekor v2), proved")
	for _, load := range []struct{ clients, n int }{{1, 1000}, {8, 4000}, {64, 16000}} {
		entries, err := entries(load.n)
		if err != nil {
			return err
		}
		client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: load.clients}}
		r, err := loop(ctx, load.clients, load.n, func(ctx context.Context, i int) error {
			return post(ctx, client, b.dev.Env["REKOR_V2_URL"]+"/api/v2/log/entries", "", entries[i], http.StatusCreated)
		})
		if err != nil {
			return err
		}
		note := fmt.Sprintf("%.1f durable commits", float64(r.p50())/float64(b.commit.p50()))
		row(fmt.Sprintf("%d clients", load.clients), r, note)
	}
	_, _ = fmt.Println()
	return nil
}

// entries makes requests of distinct, signed entries.
func entries(n int) ([][]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	b64 := base64.StdEncoding.EncodeToString
	out := make([][]byte, n)
	for i := range out {
		digest := sha256.Sum256([]byte(strconv.Itoa(i)))
		signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
		if err != nil {
			return nil, err
		}
		out[i], err = json.Marshal(map[string]any{"hashedRekordRequestV002": map[string]any{
			"digest": b64(digest[:]),
			"signature": map[string]any{"content": b64(signature), "verifier": map[string]any{
				"publicKey": map[string]any{"rawBytes": b64(spki)}, "keyDetails": "PKIX_ECDSA_P256_SHA_256",
			}},
		}})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func post(ctx context.Context, client *http.Client, url, token string, body []byte, want int) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // read below
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err == nil && resp.StatusCode != want {
		err = fmt.Errorf("POST %s: %s: %s", url, resp.Status, answer)
	}
	return err
}

// memory reads the service's largest resident set so far.
func (b *bench) memory(context.Context) error {
	server, err := onlyChild(b.dev.PID())
	if err != nil {
		return fmt.Errorf("find the service's process: %w", err)
	}
	status, err := os.ReadFile("/proc/" + server + "/status") //nolint:gosec // of the kernel
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			_, _ = fmt.Printf("largest resident set of the service under all of this: %s\n", strings.TrimSpace(value))
			return nil
		}
	}
	return errors.New("the kernel does not tell the largest resident set")
}

// onlyChild finds a process's child, which any of its threads may have
// started.
func onlyChild(pid int) (string, error) {
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return "", err
	}
	var children []string
	for _, list := range lists {
		raw, err := os.ReadFile(list) //nolint:gosec // of the kernel
		if err != nil {
			return "", err
		}
		children = append(children, strings.Fields(string(raw))...)
	}
	if len(children) != 1 {
		return "", fmt.Errorf("process %d has %d children, want 1", pid, len(children))
	}
	return children[0], nil
}
