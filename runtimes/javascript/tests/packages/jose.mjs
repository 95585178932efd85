import * as jose from 'jose';

export default async ({ name }) => {
  const secret = new TextEncoder().encode('k'.repeat(64));
  const all = { signed: [], tried: [] };
  for (const alg of ['HS256', 'HS384', 'HS512']) {
    const token = await new jose.SignJWT({ name }).setProtectedHeader({ alg }).setSubject('s').setIssuedAt(1e9).sign(secret);
    all.signed.push(token, (await jose.jwtVerify(token, secret, { subject: 's' })).payload);
  }
  for (const alg of ['ES256', 'ES384', 'EdDSA', 'RS256', 'PS256']) {
    const { publicKey, privateKey } = await jose.generateKeyPair(alg, { extractable: true });
    const open = await jose.importSPKI(await jose.exportSPKI(publicKey), alg);
    const closed = await jose.importPKCS8(await jose.exportPKCS8(privateKey), alg);
    const token = await new jose.SignJWT({ alg }).setProtectedHeader({ alg }).sign(closed);
    all.tried.push((await jose.jwtVerify(token, open)).payload, (await jose.jwtVerify(token, publicKey)).protectedHeader);
    all.tried.push(await jose.jwtVerify(`${token.slice(0, -8)}AAAAAAAA`, open).catch((error) => [error.name, error.code, error.message]));
  }
  const sealed = await new jose.EncryptJWT({ name }).setProtectedHeader({ alg: 'dir', enc: 'A256GCM' }).encrypt(secret.slice(0, 32));
  const expired = await new jose.SignJWT({}).setProtectedHeader({ alg: 'HS256' }).setExpirationTime(5).sign(secret);
  return {
    ...all,
    opened: (await jose.jwtDecrypt(sealed, secret.slice(0, 32))).payload,
    expired: await jose.jwtVerify(expired, secret).catch((error) => [error.name, error.code, error.claim]),
    thumbprint: await jose.calculateJwkThumbprint({ kty: 'oct', k: 'AA' }),
    decoded: [jose.decodeJwt(expired), jose.decodeProtectedHeader(expired)],
    unsecured: new jose.UnsecuredJWT({ name }).encode(),
  };
};
