export type BounceParts = any;
export async function notifications(_due: any, _p: any): Promise<any> {
  return [];
}
export async function bounceMessage(_r: any, _p: any): Promise<any> {
  return undefined;
}
