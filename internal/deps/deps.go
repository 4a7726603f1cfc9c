// SPDX-License-Identifier: Apache-2.0

// Package deps holds pins until the rooms that use them exist.
package deps

import (
	_ "github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "github.com/sigstore/rekor/pkg/generated/client"
	_ "github.com/sigstore/rekor/pkg/generated/models"
	_ "github.com/sigstore/rekor/pkg/tle"
	_ "github.com/sigstore/rekor/pkg/types/alpine/v0.0.1"
	_ "github.com/sigstore/rekor/pkg/types/cose/v0.0.1"
	_ "github.com/sigstore/rekor/pkg/types/dsse/v0.0.1"
	_ "github.com/sigstore/rekor/pkg/types/hashedrekord/v0.0.1"
	_ "github.com/sigstore/rekor/pkg/types/helm/v0.0.1"
	_ "github.com/sigstore/rekor/pkg/types/intoto/v0.0.1"
	_ "github.com/sigstore/rekor/pkg/types/intoto/v0.0.2"
	_ "github.com/sigstore/rekor/pkg/types/jar/v0.0.1"
	_ "github.com/sigstore/rekor/pkg/types/rekord/v0.0.1"
	_ "github.com/sigstore/rekor/pkg/types/rfc3161/v0.0.1"
	_ "github.com/sigstore/rekor/pkg/types/rpm/v0.0.1"
	_ "github.com/sigstore/rekor/pkg/types/tuf/v0.0.1"
	_ "github.com/sigstore/rekor/pkg/verify"
	_ "github.com/sigstore/rekor-tiles/v2/pkg/client/read"
	_ "github.com/sigstore/rekor-tiles/v2/pkg/client/write"
	_ "github.com/transparency-dev/tessera/client"
	_ "pgregory.net/rapid"
)
