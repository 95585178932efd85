import * as z from 'zod';

const Item = z.object({ id: z.int().positive(), name: z.string().min(2).max(9), tags: z.array(z.enum(['a', 'b'])).nonempty().optional(), price: z.coerce.number().default(1.5) }).strict();
const Shape = z.discriminatedUnion('kind', [z.object({ kind: z.literal('circle'), r: z.number() }), z.object({ kind: z.literal('square'), side: z.number().multipleOf(0.5) })]);
const Sign = z.object({ password: z.string(), again: z.string() }).refine(({ password, again }) => password === again, { message: 'not the same', path: ['again'] }).transform(({ password }) => password.length);

export default async ({ name, values }) => {
  const attempt = (schema, input) => {
    const { success, data, error } = schema.safeParse(input);
    return success ? { data } : { issues: error.issues, message: error.message };
  };
  const broken = Item.safeParse({ id: 1.5, name: 'x', tags: ['c'], more: 1 }).error;
  return {
    items: [attempt(Item, { id: 1, name, price: '7' }), attempt(Item, { id: -1, name: 5, tags: [] }), attempt(Item, null)],
    shapes: [attempt(Shape, { kind: 'square', side: 2.5 }), attempt(Shape, { kind: 'circle', r: 'x' }), attempt(Shape, { kind: 'line' })],
    sign: [attempt(Sign, { password: 'abc', again: 'abc' }), attempt(Sign, { password: 'a', again: 'b' })],
    formats: [z.email(), z.url(), z.uuid(), z.ipv4(), z.iso.datetime(), z.base64()].map((schema) => ['a@b.cd', 'https://x.y', '1.2.3.4', '2026-11-29T10:00:00Z', 'eA=='].map((text) => schema.safeParse(text).success)),
    shown: [z.treeifyError(broken), z.prettifyError(broken), z.flattenError(broken)],
    json: z.toJSONSchema(z.object({ item: Item, shape: Shape, map: z.record(z.string(), z.tuple([z.number(), z.null()])) })),
    more: [attempt(z.map(z.string(), z.number()), new Map([['a', 'b']])), attempt(z.array(z.number()).length(2), values), await z.string().transform(async (each) => each.length).parseAsync(name), attempt(z.union([z.string(), z.number()]), true), attempt(z.templateLiteral(['v', z.number()]), 'v12')],
  };
};
