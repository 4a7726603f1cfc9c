// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/hallmark-dev/hallmark/deploy/image"
	"github.com/hallmark-dev/hallmark/internal/devrun"
)

const (
	workflow = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main"
	// maxDocument bounds what the demo reads over HTTP, bytes.
	maxDocument = 1 << 20
)

// push builds Hallmark's own image for two platforms and pushes it.
func (s *stage) push(ctx context.Context, tag string, created time.Time) (string, error) {
	index, err := image.Build(created,
		image.Platform{OS: "linux", Architecture: "amd64", Binaries: []string{filepath.Join(s.Bin, "hallmark")}},
		image.Platform{OS: "linux", Architecture: "arm64", Binaries: []string{filepath.Join(s.Bin, "linux-arm64", "hallmark")}},
	)
	if err != nil {
		return "", fmt.Errorf("%w (hint: make build)", err)
	}
	ref, err := name.NewTag(s.Env["REGISTRY"] + "/acme/app:" + tag)
	if err != nil {
		return "", err
	}
	if err := remote.WriteIndex(ref, index, remote.WithContext(ctx)); err != nil {
		return "", err
	}
	digest, err := index.Digest()
	if err != nil {
		return "", err
	}
	return ref.Context().Digest(digest.String()).String(), nil
}

func (s *stage) buildAndPush(ctx context.Context) (err error) {
	s.title("CI builds an image and pushes it")
	s.image, err = s.push(ctx, "1.0", time.Unix(0, 0))
	s.say("pushed %s (linux/amd64 and linux/arm64)", s.image)
	return err
}

func (s *stage) mint(ctx context.Context, claims ...string) (string, error) {
	s.shell("HALLMARK_ID_TOKEN=$(hallmark " + strings.Join(devrun.TokenArgs(s.Dir, claims...), " ") + ")")
	return s.Token(ctx, claims...)
}

func (s *stage) signInCI(ctx context.Context) (err error) {
	s.title("The CI job asks for a signature: its token is its only credential")
	if s.token, err = s.mint(ctx); err != nil {
		return err
	}
	code, out, err := s.hallmark(ctx, s.token, "sign", s.image)
	if err != nil {
		return err
	}
	return must("sign in CI", code, 0, out, "signed", workflow)
}

func (s *stage) showLog(ctx context.Context) error {
	s.title("The signature is in the transparency log")
	s.shell("curl $HALLMARK_URL/hallmark/v1/logs/v1/checkpoint")
	checkpoint, err := s.get(ctx, "/hallmark/v1/logs/v1/checkpoint") // bundles carry this log's entry
	if err != nil {
		return err
	}
	s.quote(checkpoint)
	s.shell("curl $HALLMARK_URL/hallmark/v1/artifacts/DIGEST")
	_, digest, _ := strings.Cut(s.image, "@")
	answer, err := s.get(ctx, "/hallmark/v1/artifacts/"+digest)
	if err != nil {
		return err
	}
	var found struct {
		Receipts []struct {
			Identity string `json:"identity"`
			LogIndex int64  `json:"logIndex"`
			Run      string `json:"run"`
		} `json:"receipts"`
	}
	if err := json.Unmarshal([]byte(answer), &found); err != nil {
		return err
	}
	if len(found.Receipts) != 1 {
		return fmt.Errorf("the service knows %d signatures, want 1", len(found.Receipts))
	}
	r := found.Receipts[0]
	s.say("log entry %d, asked for by run %s", r.LogIndex, r.Run)
	return nil
}

func (s *stage) get(ctx context.Context, path string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Env["HALLMARK_URL"]+path, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }() // read below
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s", path, resp.Status)
	}
	return string(body), err
}

func (s *stage) verifyCommand(ref string) []string {
	return []string{"verify", ref, "--certificate-identity", workflow, "--certificate-oidc-issuer", s.Env["OIDC_ISSUER"]}
}

func (s *stage) verify(ctx context.Context) error {
	s.title("Anybody can verify it, with the published trusted root and nothing else")
	code, out, err := s.hallmark(ctx, "", s.verifyCommand(s.image)...)
	if err != nil {
		return err
	}
	return must("verify", code, 0, out, "verified", workflow)
}

func (s *stage) workstation(ctx context.Context) error {
	s.title("A workstation rebuilds the same image and pushes it by hand")
	ref, err := s.push(ctx, "workstation", time.Unix(1, 0))
	if err != nil {
		return err
	}
	s.say("pushed %s", ref)
	code, out, err := s.hallmark(ctx, "", "sign", ref)
	if err != nil {
		return err
	}
	if err := must("sign on the workstation", code, 1, out, "no CI identity"); err != nil {
		return err
	}
	s.say("With a token that somebody made up:")
	code, out, err = s.hallmark(ctx, forge(s.token), "sign", ref)
	if err != nil {
		return err
	}
	if err := must("sign with a forged token", code, 1, out, "answers 401"); err != nil {
		return err
	}
	code, out, err = s.hallmark(ctx, "", s.verifyCommand(ref)...)
	if err != nil {
		return err
	}
	return must("verify the workstation's image", code, 1, out, "not verified")
}

func (s *stage) pullRequest(ctx context.Context) error {
	s.title("A pull request is CI, but nobody has reviewed it")
	token, err := s.mint(ctx, "event_name=pull_request", "ref=refs/pull/7/merge")
	if err != nil {
		return err
	}
	code, out, err := s.hallmark(ctx, token, "sign", s.image)
	if err != nil {
		return err
	}
	return must("sign in a pull request", code, 1, out, "answers 403")
}

// forge flips a bit in a token's signature.
func forge(token string) string {
	b := []byte(token)
	at := len(b) - 10
	if b[at] == 'A' {
		b[at] = 'B'
	} else {
		b[at] = 'A'
	}
	return string(b)
}
