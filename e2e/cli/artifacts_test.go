// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/hallmark-dev/hallmark/internal/devissuer"
	"github.com/hallmark-dev/hallmark/internal/lab"
	"github.com/hallmark-dev/hallmark/signer"
)

func writeToken(ts *testscript.TestScript, s *scene, args []string) error {
	token := s.lab.Token(s.t, devissuer.GitHub, args[1:]...)
	return os.WriteFile(ts.MkAbs(args[0]), []byte(token+"\n"), 0o600)
}

func wantClaims(ts *testscript.TestScript, _ *scene, args []string) error {
	parts := strings.Split(strings.TrimSpace(ts.ReadFile(args[0])), ".")
	if len(parts) != 3 {
		return fmt.Errorf("%s is no token: %d parts", args[0], len(parts))
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return err
	}
	var claims map[string]any
	if err := json.Unmarshal(raw, &claims); err != nil {
		return err
	}
	return wantMembers(claims, args[1:])
}

func pushImage(ts *testscript.TestScript, s *scene, args []string) error {
	l := s.lab
	if len(args) == 4 {
		l = &lab.Lab{Registry: args[3]}
	}
	ts.Setenv(args[0], l.PushSmall(s.t, args[1], args[2]))
	return nil
}

func copyImage(ts *testscript.TestScript, s *scene, args []string) error {
	ts.Setenv(args[0], s.lab.Copy(s.t, args[1], args[2]))
	return nil
}

func digestOf(ts *testscript.TestScript, _ *scene, args []string) error {
	_, digest, ok := strings.Cut(args[1], "@")
	if !ok {
		return fmt.Errorf("%s has no digest", args[1])
	}
	ts.Setenv(args[0], digest)
	return nil
}

func writeBundle(ts *testscript.TestScript, _ *scene, args []string) error {
	var receipt signer.Receipt
	if err := json.Unmarshal([]byte(ts.ReadFile(args[0])), &receipt); err != nil {
		return err
	}
	return os.WriteFile(ts.MkAbs(args[1]), receipt.Bundle, 0o600)
}

func spoilBundle(ts *testscript.TestScript, _ *scene, args []string) error {
	var bundle struct {
		MediaType            json.RawMessage `json:"mediaType"`
		VerificationMaterial json.RawMessage `json:"verificationMaterial"`
		DSSEEnvelope         struct {
			Payload     json.RawMessage `json:"payload"`
			PayloadType json.RawMessage `json:"payloadType"`
			Signatures  []struct {
				Sig []byte `json:"sig"`
			} `json:"signatures"`
		} `json:"dsseEnvelope"`
	}
	if err := json.Unmarshal([]byte(ts.ReadFile(args[0])), &bundle); err != nil {
		return err
	}
	sig := bundle.DSSEEnvelope.Signatures[0].Sig
	sig[len(sig)-1] ^= 1
	raw, err := json.Marshal(bundle)
	if err != nil {
		return err
	}
	return os.WriteFile(ts.MkAbs(args[1]), raw, 0o600)
}
