interface Params {
  name?: string;
}

interface Greeting {
  message: string;
}

// A call's parameters go in, and its result comes out. What is printed is the log of the call.
export default function handler(params: Params): Greeting {
  const name = params.name ?? 'world';
  console.log(`greeting ${name}`);
  return { message: `Hello, ${name}!` };
}
